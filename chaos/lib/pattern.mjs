/**
 * Bytes that say where they belong: each run of four is a hash of the stream's number and its own place, so that a
 * byte which is lost, doubled, moved or of another stream is found at once.
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

/** The first byte of `chunk`, which begins at `offset`, that is not as it should be; undefined where all are. */
export function firstWrong(stream, offset, chunk) {
  const expected = pattern(stream, offset, chunk.length);
  if (expected.equals(chunk)) return undefined;
  return offset + chunk.findIndex((byte, index) => byte !== expected[index]);
}
