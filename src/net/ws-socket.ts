import { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { SOCKET_BUFFER_BYTES } from './splice.js';

/**
 * A stream of bytes in the messages of a WebSocket, with what TCP has and a WebSocket has not: an end of either
 * direction by itself (an empty message), and a reset that is no orderly close (a close code).
 */

export interface WsSocketBounds {
  /** Most that one message may hold. */
  readonly maxMessageBytes: number;
  /** A connection on which nothing was heard for this long says a ping, so that a proxy on the way keeps it. */
  readonly pingMs: number;
}

const RESET_CODE = 4000;
const NORMAL_CODE = 1000;
const END = Buffer.alloc(0);
/** Answers to pings that wait for a peer that does not read; it gets no more then. */
const MAX_PONG_BACKLOG_BYTES = 64 * 1024;
/** Up to so much that waits together goes as one message. */
const GATHER_BYTES = 16 * 1024;

type Done = (error?: Error | null) => void;

/**
 * A net.Socket to whoever uses it: the splice and TLS are made for those. It has no handle, so node treats it as it
 * treats any stream in JavaScript.
 */
export class WsSocket extends Socket {
  // Fields of its own: node's count what passed a handle.
  override bytesRead = 0;
  override bytesWritten = 0;
  readonly #ws: WebSocket;
  readonly #bounds: WsSocketBounds;
  readonly #timer: NodeJS.Timeout;
  #heardSinceTick = false;
  #hasEnded = false;
  #hasSaidEnd = false;

  constructor(ws: WebSocket, bounds: WsSocketBounds) {
    const options = { allowHalfOpen: true, highWaterMark: SOCKET_BUFFER_BYTES };
    super(options);
    this.#ws = ws;
    this.#bounds = bounds;
    this.#timer = setInterval(() => this.#tick(), bounds.pingMs).unref();
    // A peer may break it off before anyone listens, and that must not end the process.
    this.on('error', () => undefined);
    // Node's TLS takes a socket without a handle for one that is still to be connected, and waits to be told.
    this.on('newListener', (event) => {
      if (event === 'connect') setImmediate(() => this.emit('connect'));
    });
    ws.binaryType = 'nodebuffer';
    ws.on('message', (data: Buffer, isBinary) => this.#take(data, isBinary));
    ws.on('ping', (data: Buffer) => {
      this.#heardSinceTick = true;
      if (ws.readyState === ws.OPEN && ws.bufferedAmount < MAX_PONG_BACKLOG_BYTES) ws.pong(data);
    });
    ws.on('pong', () => (this.#heardSinceTick = true));
    ws.on('error', (error) => this.destroy(error));
    ws.on('close', () => this.#closed());
  }

  override resetAndDestroy(): this {
    this.#close(RESET_CODE);
    return this.destroy();
  }

  override _read(): void {
    if (this.#ws.isPaused) this.#ws.resume();
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this.#send(bytesOf(chunk, encoding), done);
  }

  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], done: Done): void {
    const size = chunks.reduce((sum, { chunk }) => sum + chunk.length, 0);
    if (size <= GATHER_BYTES) {
      const parts = chunks.map(({ chunk, encoding }) => bytesOf(chunk, encoding));
      return this.#send(Buffer.concat(parts), done);
    }
    let left = chunks.length;
    let failed = false;
    const sent: Done = (error) => {
      if (failed) return;
      failed = Boolean(error);
      if (failed || --left === 0) done(error);
    };
    for (const { chunk, encoding } of chunks) this.#send(bytesOf(chunk, encoding), sent);
  }

  override _final(done: Done): void {
    this.#ws.send(END, { binary: true }, (error) => {
      this.#hasSaidEnd = !error;
      done(error);
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#timer);
    // Whoever destroys it before it has ended leaves in the middle of something.
    this.#close(error || !this.#hasSaidEnd ? RESET_CODE : NORMAL_CODE);
    super['_destroy'](error, done);
  }

  #send(bytes: Buffer, done: Done): void {
    // An empty message would be an end.
    if (bytes.length === 0) return done();
    const { maxMessageBytes } = this.#bounds;
    this.bytesWritten += bytes.length;
    let start = 0;
    for (; start + maxMessageBytes < bytes.length; start += maxMessageBytes)
      this.#ws.send(bytes.subarray(start, start + maxMessageBytes), { binary: true }, ignore);
    this.#ws.send(bytes.subarray(start), { binary: true }, done);
  }

  #take(data: Buffer, isBinary: boolean): void {
    this.#heardSinceTick = true;
    if (this.destroyed) return;
    if (!isBinary || this.#hasEnded) {
      this.#ws.close(1002);
      this.destroy(
        failure('ERR_WS_SOCKET_PROTOCOL', isBinary ? 'a message after the end' : 'a text message'),
      );
      return;
    }
    this.bytesRead += data.length;
    this.#hasEnded = data.length === 0;
    if (!this.push(this.#hasEnded ? null : data)) this.#ws.pause();
    // The rest is an answer to what we say, and the close: both are to be heard.
    if (this.#hasEnded) this.#ws.resume();
  }

  /** The WebSocket is over: in order once both had said their end. */
  #closed(): void {
    if (this.#hasEnded && this.#hasSaidEnd) return;
    this.destroy(failure('ECONNRESET', 'the WebSocket was closed in the middle'));
  }

  #close(code: number): void {
    // Nothing is read any more, but the close has to be.
    if (this.#ws.isPaused) this.#ws.resume();
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.close(code);
  }

  #tick(): void {
    if (!this.#heardSinceTick && this.#ws.readyState === this.#ws.OPEN && this.#ws.bufferedAmount === 0)
      this.#ws.ping();
    this.#heardSinceTick = false;
  }
}

function bytesOf(chunk: Buffer | string, encoding: BufferEncoding): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}

function ignore(): void {
  // The last message of a write tells.
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
