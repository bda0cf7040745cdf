import { base64, textOf } from './text.js';
import type { Field, RequestDetails } from './wire.js';

/** What may steer a terminal, or turn what is read there; C1 controls come as bytes of a path or a header. */
const STEERS = /\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}/u;

/** Said by curl itself. */
const OWN = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'expect']);

/** The request as a command for a POSIX shell. What is masked stays masked. */
export function asCurl(details: RequestDetails, body: Uint8Array): string {
  const { method, authority, target, request } = details;
  const hasBody = body.length > 0;
  const parts = ['curl', '--globoff', '--path-as-is'];
  if (method === 'HEAD') parts.push('--head');
  else if (method !== (hasBody ? 'POST' : 'GET')) parts.push(`--request ${word(method)}`);
  parts.push(word(`https://${authority}${target}`));
  for (const field of request.headers) {
    if (!OWN.has(field.name.toLowerCase())) parts.push(`--header ${word(headerText(field))}`);
  }
  if (!hasBody) return parts.join(' \\\n  ');
  const text = textOf(body);
  // Bytes that are no text do not pass through a terminal whole.
  if (text === undefined || STEERS.test(text.replace(/[\t\n]/g, ''))) {
    parts.push('--data-binary @-');
    return `printf %s ${base64(body)} | base64 --decode | ${parts.join(' \\\n  ')}`;
  }
  parts.push(`--data-raw ${quote(text)}`);
  return parts.join(' \\\n  ');
}

/** curl takes `Name:` for one that is to be left out, and `Name;` for one without a value. */
const headerText = ({ name, value }: Field): string => (value === '' ? `${name};` : `${name}: ${value}`);

/** One of these that a visitor wrote: as text where it is harmless, else by its bytes. */
function word(text: string): string {
  if (!STEERS.test(text)) return quote(text);
  // Node has a character for each byte of a head.
  const bytes = /[^\0-\xff]/.test(text)
    ? new TextEncoder().encode(text)
    : Uint8Array.from(text, (character) => character.charCodeAt(0));
  const escaped = [...bytes].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[\w:/.=? ]/.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `"$(printf '${escaped.join('')}')"`;
}

/** One word of a POSIX shell, whatever is in it. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
