/** The parts of a multipart/form-data body (RFC 7578). */

export interface Part {
  readonly name: string;
  /** Absent if the part is a field, not a file. */
  readonly filename?: string;
  readonly type?: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The body ends before the part does. */
  readonly isCut: boolean;
}

const MAX_PARTS = 200;
const MAX_HEAD_BYTES = 8 * 1024;

/** The parts, at most 200; undefined if the body is not multipart. */
export function partsOf(type: string | undefined, body: Uint8Array<ArrayBuffer>): Part[] | undefined {
  const boundary = boundaryOf(type);
  if (boundary === undefined) return undefined;
  const separator = ascii(`\r\n--${boundary}`);
  // The first part has no line break before it.
  let at = startsWith(body, 0, separator.subarray(2)) ? separator.length - 2 : after(body, separator, 0);
  if (at < 0) return undefined;
  const parts: Part[] = [];
  while (parts.length < MAX_PARTS && !startsWith(body, at, ascii('--'))) {
    const line = indexOf(body, ascii('\r\n'), at);
    if (line < 0) break;
    const headEnd = indexOf(body, ascii('\r\n\r\n'), line);
    if (headEnd < 0 || headEnd - line > MAX_HEAD_BYTES) break;
    const start = headEnd + 4;
    const end = indexOf(body, separator, headEnd + 2);
    parts.push(
      partOf(body.subarray(line, headEnd), body.subarray(start, end < 0 ? undefined : end), end < 0),
    );
    if (end < 0) break;
    at = end + separator.length;
  }
  return parts;
}

/** Of `multipart/form-data; boundary=…`; RFC 2046 allows 70 characters. */
function boundaryOf(type: string | undefined): string | undefined {
  if (!/^\s*multipart\/form-data\s*;/i.test(type ?? '')) return undefined;
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(type!) ?? [];
  return quoted ?? plain;
}

function partOf(head: Uint8Array, bytes: Uint8Array<ArrayBuffer>, isCut: boolean): Part {
  const lines = new TextDecoder().decode(head).split('\r\n');
  const valueOf = (name: string): string | undefined =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  const disposition = valueOf('content-disposition') ?? '';
  const filename = parameterOf(disposition, 'filename');
  const type = valueOf('content-type');
  return {
    name: parameterOf(disposition, 'name') ?? '',
    ...(filename !== undefined && { filename }),
    ...(type !== undefined && { type }),
    bytes,
    isCut,
  };
}

/** Browsers write `"` and line breaks of names as %22, %0D and %0A. */
function parameterOf(disposition: string, name: string): string | undefined {
  const [, quoted, plain] =
    new RegExp(`;\\s*${name}=(?:"((?:\\\\.|[^"\\\\])*)"|([^\\s;]*))`, 'i').exec(disposition) ?? [];
  const value = quoted?.replace(/\\(["\\])/g, '$1') ?? plain;
  return value?.replace(/%(22|0D|0A)/g, (escaped) => decodeURIComponent(escaped));
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

function startsWith(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  return wanted.every((byte, i) => bytes[at + i] === byte);
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(wanted[0]!, from); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1))
    if (startsWith(bytes, at, wanted)) return at;
  return -1;
}

function after(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  const at = indexOf(bytes, wanted, from);
  return at < 0 ? -1 : at + wanted.length;
}
