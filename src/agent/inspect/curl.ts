import { base64, textOf } from './text.js';
import type { Field, RequestDetails } from './wire.js';

/** Characters that can control a terminal or reorder text. C1 controls can occur as bytes in a path or header. */
export const CONTROLS = /\p{Cc}|\p{Bidi_Control}|\p{Zl}|\p{Zp}/u;

/** Clients set these themselves. */
export const OWN = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'expect']);

/** The request as a command for a POSIX shell. Masked values stay masked. */
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
  // A terminal would change binary bytes.
  if (text === undefined || CONTROLS.test(text.replace(/[\t\n]/g, ''))) {
    parts.push('--data-binary @-');
    return `printf %s ${base64(body)} | base64 --decode | ${parts.join(' \\\n  ')}`;
  }
  parts.push(`--data-raw ${quote(text)}`);
  return parts.join(' \\\n  ');
}

/** curl omits a header given as `Name:`, and sends an empty one for `Name;`. */
const headerText = ({ name, value }: Field): string => (value === '' ? `${name};` : `${name}: ${value}`);

/** Text from a visitor: literal if it is harmless, otherwise byte by byte. */
export function word(text: string): string {
  if (!CONTROLS.test(text)) return quote(text);
  // Node decodes each byte of a head as one character.
  const bytes = /[^\0-\xff]/.test(text)
    ? new TextEncoder().encode(text)
    : Uint8Array.from(text, (character) => character.charCodeAt(0));
  const escaped = [...bytes].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[\w:/.=? ]/.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `"$(printf '${escaped.join('')}')"`;
}

/** Quotes any text as one word of a POSIX shell. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
