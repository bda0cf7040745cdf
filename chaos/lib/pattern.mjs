/**
 * A byte pattern that encodes its position. Each group of four bytes is a hash of the stream's number and the offset,
 * so the reader detects a byte that is lost, repeated, moved or from another stream.
 */
export function pattern(stream, offset, length) {
  const first = offset >>> 2;
  const words = new Uint32Array(((offset + length + 3) >>> 2) - first);
  for (let index = 0; index < words.length; index++) {
    let word = Math.imul((first + index) ^ 0x9e3779b9, 0x85ebca6b) ^ stream;
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    words[index] = word ^ (word >>> 16);
  }
  return Buffer.from(words.buffer).subarray(offset & 3, (offset & 3) + length);
}

/** The offset of the first wrong byte in `chunk`, which begins at `offset`, or undefined. */
export function firstWrong(stream, offset, chunk) {
  const expected = pattern(stream, offset, chunk.length);
  if (expected.equals(chunk)) return undefined;
  return offset + chunk.findIndex((byte, index) => byte !== expected[index]);
}
