import type { Readable } from 'node:stream';

/** Reads `stream` to its end. Throws `tooLong()` after more than `maxBytes`. The caller sets the timeout. */
export async function readBounded(stream: Readable, maxBytes: number, tooLong: () => Error): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
