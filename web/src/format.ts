import { textOf } from '../../src/agent/inspect/text.js';

/** Formats values as text. Nothing here creates markup. */

/** Decimal units, as in `portal status`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB'];
  let value = bytes / 1_000;
  let unit = 0;
  // 999.9 kB would be shown as 1000 kB.
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1_000;
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function msText(ms: number | undefined): string {
  if (ms === undefined) return '';
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return ms < 59_995 ? `${(ms / 1_000).toFixed(2)} s` : `${Math.round(ms / 1_000)} s`;
}

const two = (value: number): string => String(value).padStart(2, '0');

export function timeText(at: number): string {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Includes the day if it is not today. The details show the full time. */
export function earlierText(at: number, now: number): string {
  const date = new Date(at);
  return date.toDateString() === new Date(now).toDateString()
    ? `${two(date.getHours())}:${two(date.getMinutes())}`
    : date.toLocaleDateString([], { day: 'numeric', month: 'short' });
}

/**
 * JSON with line breaks and indents; undefined if it is invalid. Changes only white space: numbers keep all their
 * digits, and repeated keys stay.
 */
export function prettyJson(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  let out = '';
  let depth = 0;
  const newLine = (): void => {
    out += `\n${'  '.repeat(depth)}`;
  };
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      out += text.slice(start, i + 1);
    } else if (char === '{' || char === '[') {
      const rest = /^\s*[}\]]/.exec(text.slice(i + 1, i + 1 + 1_000));
      out += char;
      if (rest) {
        out += rest[0].trim();
        i += rest[0].length;
      } else {
        depth++;
        newLine();
      }
    } else if (char === '}' || char === ']') {
      depth--;
      newLine();
      out += char;
    } else if (char === ',') {
      out += char;
      newLine();
    } else if (char === ':') out += ': ';
    else if (!/\s/.test(char)) out += char;
  }
  return out;
}

/** Decoded pairs of a query or a form. */
export function pairsOf(text: string): [string, string][] {
  return [...new URLSearchParams(text)];
}

/** Offset, bytes, and their printable ASCII: 16 bytes per line. */
export function hexDump(bytes: Uint8Array, maxBytes: number): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, maxBytes); at += 16) {
    const row = [...bytes.subarray(at, Math.min(at + 16, maxBytes))];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0'));
    const left = hex.slice(0, 8).join(' ');
    const right = hex.slice(8).join(' ');
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${left.padEnd(23)}  ${right.padEnd(23)}  ${ascii}`);
  }
  return lines.join('\n');
}

export type BodyKind = 'empty' | 'json' | 'form' | 'multipart' | 'image' | 'text' | 'binary';

const IMAGES = /^image\/(png|jpe?g|gif|webp|avif|bmp|x-icon|vnd\.microsoft\.icon|svg\+xml)$/;
const TEXTS = /^(text\/|application\/(javascript|xml|graphql|x-ndjson|sql|yaml|toml)|message\/)|[+/]xml$/;

/** How to show a body: depends on its type, and on whether it is text. */
export function kindOf(type: string | undefined, bytes: Uint8Array): BodyKind {
  if (bytes.length === 0) return 'empty';
  const media = mediaOf(type);
  if (IMAGES.test(media)) return 'image';
  if (media === 'multipart/form-data') return 'multipart';
  if (textOf(bytes) === undefined) return 'binary';
  if (media === 'application/json' || media.endsWith('+json')) return 'json';
  if (media === 'application/x-www-form-urlencoded') return 'form';
  if (TEXTS.test(media)) return 'text';
  return /^\s*[[{]/.test(textOf(bytes.subarray(0, 64)) ?? '') ? 'json' : 'text';
}

export const mediaOf = (type: string | undefined): string =>
  (type ?? '').split(';', 1)[0]!.trim().toLowerCase();
