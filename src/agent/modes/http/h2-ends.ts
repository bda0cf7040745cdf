import type { Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';

/** How HTTP/2 streams end and are aborted. */

/**
 * Whether END_STREAM arrived. Node also ends the reading side of a stream that is reset or whose connection is lost, but
 * closes the stream first.
 */
export function watchStreamEnd(stream: Http2Stream): () => boolean {
  let isWhole = false;
  const push = stream.push.bind(stream);
  stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk === null) isWhole ||= !stream.closed;
    return push(chunk, encoding);
  };
  return () => isWhole;
}

/** Sends RST_STREAM(INTERNAL_ERROR) without END_STREAM, which `close` would send first (RFC 9113, 8.1.1). */
export function breakStream(stream: Duplex): void {
  stream.destroy(new Error('aborted'));
}
