import type { Socket } from 'node:net';

/** Not a closure: that would keep the visitor's bytes as long as the stream. */
const ignore = (): void => undefined;

/**
 * Calls `then` with true once `stream` has its first bytes, which stay readable, or with false if it ends without any. Returns a
 * function that ends this.
 */
export function firstResponse(stream: Socket, then: (hasResponded: boolean) => void): () => void {
  const leave = (): void => {
    stream.off('data', onData).off('end', onLost).off('close', onLost);
    stream.pause();
  };
  const onData = (chunk: Buffer): void => {
    leave();
    stream.unshift(chunk);
    then(true);
  };
  const onLost = (): void => {
    leave();
    then(false);
  };
  // For its whole life: the close that follows an error counts.
  stream.on('error', ignore);
  stream.on('data', onData).on('end', onLost).on('close', onLost);
  // The pool paused it.
  stream.resume();
  if (stream.closed) queueMicrotask(onLost);
  return leave;
}
