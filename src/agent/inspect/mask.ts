import { GATE_FIELDS } from '../access/kinds.js';
import type { Headers } from '../modes/http/exchange/exchange.js';
import type { Field } from './wire.js';

/** Fields whose values are secrets. */
const SECRET = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
/** Fields for gates: what a visitor enters there is never shown, not even to the owner, who has it in portal.yaml. */
const FOR_GATES = new Set(GATE_FIELDS);
/** The same length for every secret. */
const DOTS = '••••••';

/** Header fields for the page, without secret values. */
export function fields(headers: Headers, names: ReadonlySet<string>, revealed: boolean): Field[] {
  const out: Field[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    const lower = name.toLowerCase();
    const isHidden = FOR_GATES.has(lower) || (!revealed && (SECRET.has(lower) || names.has(lower)));
    if (!isHidden) out.push({ name, value });
    else out.push({ name, value: masked(lower, value), masked: true });
  }
  return out;
}

/** Keeps the parts that reveal nothing: cookie names, cookie attributes, and the scheme of credentials. */
function masked(name: string, value: string): string {
  if (name === 'cookie') return value.split(';').map(maskedPair).join('; ');
  if (name === 'set-cookie') {
    const [pair = '', ...attributes] = value.split(';');
    return [maskedPair(pair), ...attributes.map((each) => each.trim())].join('; ');
  }
  const [, scheme] = /^([A-Za-z][\w-]{0,30}) +\S/.exec(value) ?? [];
  return name.endsWith('authorization') && scheme !== undefined ? `${scheme} ${DOTS}` : DOTS;
}

function maskedPair(pair: string): string {
  const at = pair.indexOf('=');
  return at <= 0 ? DOTS : `${pair.slice(0, at).trim()}=${DOTS}`;
}
