/**
 * Variable-length integers of QUIC (RFC 9000 §16): the upper two bits of the first byte are the length. Numbers stay below
 * 2^53, so JavaScript represents them exactly.
 */

const MAX = Number.MAX_SAFE_INTEGER;

/** Where the last `readVarint` ended. One variable for all, since an object per number would cost more than the reading. */
let end = 0;

export function varintBytes(value: number): number {
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x4000_0000 ? 4 : 8;
}

/** Writes `value` at `at` and returns the position after it. The caller makes sure that it fits. */
export function writeVarint(bytes: Buffer, at: number, value: number): number {
  if (value < 0x40) {
    bytes[at] = value;
    return at + 1;
  }
  if (value < 0x4000) {
    bytes[at] = 0x40 | (value >>> 8);
    bytes[at + 1] = value & 0xff;
    return at + 2;
  }
  if (value < 0x4000_0000) return bytes.writeUInt32BE((0x8000_0000 | value) >>> 0, at);
  const high = Math.floor(value / 2 ** 32);
  bytes.writeUInt32BE((0xc000_0000 | high) >>> 0, at);
  return bytes.writeUInt32BE(value >>> 0, at + 4);
}

/** The number at `at`, or -1 if it is cut off or too large. `varintEnd` is the position after it. */
export function readVarint(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === undefined) return -1;
  const length = 1 << (first >>> 6);
  end = at + length;
  if (length === 1) return first;
  if (end > bytes.length) return -1;
  if (length === 2) return ((first & 0x3f) << 8) | bytes[at + 1]!;
  if (length === 4) return bytes.readUInt32BE(at) & 0x3fff_ffff;
  const value = (bytes.readUInt32BE(at) & 0x3fff_ffff) * 2 ** 32 + bytes.readUInt32BE(at + 4);
  return value > MAX ? -1 : value;
}

/** The position after the last number of `readVarint`. */
export function varintEnd(): number {
  return end;
}
