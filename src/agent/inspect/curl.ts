import { base64, textOf } from './text.js';
import type { Field, RequestDetails } from './wire.js';

/** Said by curl itself. */
const OWN = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'expect']);

/** The request as a command for a POSIX shell. What is masked stays masked. */
export function asCurl(details: RequestDetails, body: Uint8Array): string {
  const { method, authority, target, request } = details;
  const hasBody = body.length > 0;
  const parts = ['curl', '--globoff', '--path-as-is'];
  if (method === 'HEAD') parts.push('--head');
  else if (method !== (hasBody ? 'POST' : 'GET')) parts.push(`--request ${quote(method)}`);
  parts.push(quote(`https://${authority}${target}`));
  for (const field of request.headers) {
    if (!OWN.has(field.name.toLowerCase())) parts.push(`--header ${quote(headerText(field))}`);
  }
  if (!hasBody) return parts.join(' \\\n  ');
  const text = textOf(body);
  // Bytes that are no text do not pass through a terminal whole.
  if (text === undefined || /[^\P{Cc}\t\n]/u.test(text)) {
    parts.push('--data-binary @-');
    return `printf %s ${base64(body)} | base64 --decode | ${parts.join(' \\\n  ')}`;
  }
  parts.push(`--data-raw ${quote(text)}`);
  return parts.join(' \\\n  ');
}

/** curl takes `Name:` for one that is to be left out, and `Name;` for one without a value. */
const headerText = ({ name, value }: Field): string => (value === '' ? `${name};` : `${name}: ${value}`);

/** One word of a POSIX shell, whatever is in it. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
