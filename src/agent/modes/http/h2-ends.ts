import type { Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';

/** How streams of HTTP/2 end, and are broken off. */

/**
 * Whether END_STREAM came. Node also ends the reading side of a stream that is reset, or whose connection is lost, but
 * closes the stream before.
 */
export function hearEnd(stream: Http2Stream): () => boolean {
  let isWhole = false;
  const push = stream.push.bind(stream);
  stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk === null) isWhole ||= !stream.closed;
    return push(chunk, encoding);
  };
  return () => isWhole;
}

/** RST_STREAM(INTERNAL_ERROR), and no END_STREAM before it, which `close` would send (RFC 9113, 8.1.1). */
export function breakStream(stream: Duplex): void {
  stream.destroy(new Error('broken off'));
}
