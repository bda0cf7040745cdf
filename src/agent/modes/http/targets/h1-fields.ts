import { HEADER_NAME } from '../../../../net/http/headers.js';

/** Header and trailer fields of HTTP/1.1 as text: Latin-1, so that each character is one byte. */

/** Everything that a field value or a reason phrase must not contain (RFC 9110, 5.5). */
const INVALID_TEXT = /[^\t\x20-\x7e\x80-\xff]/;
const [TAB, SPACE] = [0x09, 0x20];

/** Writes fields as they are sent. Throws if one of them is invalid, because it could become two. */
export function formatFields(fields: readonly string[]): string {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i]!, fields[i + 1]!];
    if (!HEADER_NAME.test(name) || INVALID_TEXT.test(value)) throw new TypeError(`invalid field: ${name}`);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

/**
 * Reads fields from `text`, whose lines all end in CRLF. Undefined if one is invalid. A line that continues the previous field
 * is invalid, too (RFC 9112, 5.2).
 */
export function parseFields(text: string, start = 0): string[] | undefined {
  const fields: string[] = [];
  for (let at = start; at < text.length;) {
    const end = text.indexOf('\r\n', at);
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon > end) return undefined;
    const name = text.slice(at, colon);
    const value = trimmed(text, colon + 1, end);
    if (!HEADER_NAME.test(name) || INVALID_TEXT.test(value)) return undefined;
    fields.push(name, value);
    at = end + 2;
  }
  return fields;
}

function trimmed(text: string, start: number, end: number): string {
  let [from, to] = [start, end];
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB;
