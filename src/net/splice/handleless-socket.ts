import { Socket } from 'node:net';
import { SOCKET_BUFFER_BYTES } from './splice.js';

/**
 * A net.Socket in JavaScript, because the splice and TLS require one. It has no handle, so Node treats it like any other
 * stream. Subclasses implement `_read`, `_write`, `_final`, `_destroy` and `resetAndDestroy`.
 */
export abstract class HandlelessSocket extends Socket {
  // Own counters: Node counts only bytes that pass a handle.
  override bytesRead = 0;
  override bytesWritten = 0;

  constructor() {
    const options = { allowHalfOpen: true, highWaterMark: SOCKET_BUFFER_BYTES };
    super(options);
    // A peer may close it before anyone listens, and that must not end the process.
    this.on('error', () => undefined);
    // Node's TLS treats a socket without a handle as still connecting and waits for `connect`.
    this.on('newListener', (event) => {
      if (event === 'connect') setImmediate(() => this.emit('connect'));
    });
  }

  abstract override resetAndDestroy(): this;

  /** Ends what Node has of the socket. */
  protected destroyBase(error: Error | null, done: (error?: Error | null) => void): void {
    super['_destroy'](error, done);
  }
}

/** The content of a chunk that was written. */
export function bytesOf(chunk: Buffer | string, encoding: BufferEncoding): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}
