/** Writes DER (X.690), and reads as much of it as finding the parts of a certificate needs. */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One value. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return Buffer.concat([header(tag, length), ...contents]);
}

export const sequence = (...contents: readonly Uint8Array[]): Buffer => der(TAG.sequence, ...contents);

/** A context-specific tag: around other values if `constructed`, else over content. */
export const context = (number: number, constructed: boolean): number => (constructed ? 0xa0 : 0x80) | number;

/** A BIT STRING of whole bytes. */
export const bits = (bytes: Uint8Array): Buffer => der(TAG.bitString, Buffer.from([0]), bytes);

/** An OBJECT IDENTIFIER whose first two numbers are in the first byte, as in all that Portal writes. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(TAG.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** A time in whole seconds (RFC 5280 §4.1.2.5): UTCTime until 2049, GeneralizedTime from 2050. */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/\.\d+|[-:T]/g, '');
  return date.getUTCFullYear() < 2050
    ? der(TAG.utcTime, Buffer.from(digits.slice(2)))
    : der(TAG.generalizedTime, Buffer.from(digits));
}

/** The values inside a constructed value, each with its header. Throws a RangeError unless they fill it. */
export function valuesIn(value: Buffer): Buffer[] {
  const { start, end } = extent(value, 0);
  if (end !== value.length) throw new RangeError('the DER value is longer or shorter than it says');
  const values: Buffer[] = [];
  for (let at = start; at < end;) {
    const next = extent(value, at).end;
    if (next > end) throw new RangeError('a DER value ends after the one that contains it');
    values.push(value.subarray(at, next));
    at = next;
  }
  return values;
}

function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length]);
  return length < 0x100
    ? Buffer.from([tag, 0x81, length])
    : Buffer.from([tag, 0x82, length >> 8, length & 0xff]);
}

/** Where the content of the value at `at` starts and ends. Lengths of up to two bytes, which 64 kB need. */
function extent(bytes: Buffer, at: number): { start: number; end: number } {
  const first = bytes.readUInt8(at + 1);
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const size = first & 0x7f;
  if (size < 1 || size > 2) throw new RangeError('the length of a DER value is not supported');
  const start = at + 2 + size;
  return { start, end: start + bytes.readUIntBE(at + 2, size) };
}

function base128(number: number): number[] {
  const bytes = [number & 0x7f];
  for (let rest = number >> 7; rest > 0; rest >>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}
