import { OWN, quote, CONTROLS, word } from './curl.js';
import { base64, textOf } from './text.js';
import type { RequestDetails } from './wire.js';

/**
 * The request as a command for HTTPie 3 in a POSIX shell. Masked values stay masked. Throws for what HTTPie cannot
 * express.
 */
export function asHttpie(details: RequestDetails, body: Uint8Array): string {
  const { method, authority, target, request } = details;
  const text = textOf(body);
  const isPiped = text === undefined || CONTROLS.test(text.replace(/[\t\n]/g, ''));
  const parts = ['http', '--path-as-is'];
  if (!isPiped || body.length === 0) parts.push('--ignore-stdin');
  if (!isPiped && body.length > 0) parts.push(`--raw=${quote(text)}`);
  // The name of a header may begin with a dash.
  parts.push('--', word(method), word(`https://${authority}${target}`));
  for (const { name, value } of request.headers) {
    if (!OWN.has(name.toLowerCase())) parts.push(word(item(name, value)));
  }
  // HTTPie treats a body as JSON by default.
  const hasType = request.headers.some(({ name }) => name.toLowerCase() === 'content-type');
  if (body.length > 0 && !hasType) parts.push('Content-Type:');
  const command = parts.join(' \\\n  ');
  return isPiped && body.length > 0 ? `printf %s ${base64(body)} | base64 --decode | ${command}` : command;
}

/** HTTPie reads `:=` and `:@` as other separators, and a backslash before a separator as an escape. */
function item(name: string, value: string): string {
  if (/\\[:=@;]/.test(value)) throw new Error(`HTTPie cannot send this value of ${name}`);
  return value === '' ? `${name};` : `${name}:${value.replace(/^[=@]/, '\\$&')}`;
}

/** The request as a call of fetch. Masked values stay masked. */
export function asFetch(details: RequestDetails, body: Uint8Array): string {
  const { method, authority, target, request } = details;
  const headers = request.headers
    .filter(({ name }) => !OWN.has(name.toLowerCase()))
    .map(({ name, value }) => `    [${literal(name)}, ${literal(value)}],\n`);
  const lines = [
    `  method: ${literal(method)},\n`,
    ...(headers.length > 0 ? [`  headers: [\n${headers.join('')}  ],\n`] : []),
    ...(body.length > 0 ? [`  ${bodyLine(method, body)}\n`] : []),
  ];
  return `await fetch(${literal(`https://${authority}${escaped(target)}`)}, {\n${lines.join('')}});`;
}

function bodyLine(method: string, body: Uint8Array): string {
  if (method === 'GET' || method === 'HEAD') return `// fetch sends no body with ${method}`;
  const text = textOf(body);
  if (text !== undefined) return `body: ${literal(text)},`;
  return `body: Uint8Array.from(atob('${base64(body)}'), (char) => char.charCodeAt(0)),`;
}

/** fetch treats each byte of a path as a character, so bytes beyond ASCII are percent-encoded. */
const escaped = (target: string): string =>
  target.replace(/[^!-~]/g, (char) =>
    char > '\xff'
      ? encodeURIComponent(char)
      : `%${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );

/** A JavaScript string literal without control characters. */
const literal = (text: string): string =>
  JSON.stringify(text).replace(
    /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
