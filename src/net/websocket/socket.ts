import type { WebSocket } from 'ws';
import { bytesOf, HandlelessSocket } from '../splice/handleless-socket.js';

/**
 * A byte stream over WebSocket messages. It adds two features of TCP that a WebSocket lacks: a half-close (an empty
 * message) and a reset (a close code).
 */

export interface WsSocketLimits {
  /** Size limit of one message. */
  readonly maxMessageBytes: number;
  /** A connection that received nothing for this long sends a ping, so that proxies keep it open. */
  readonly pingMs: number;
}

const RESET_CODE = 4000;
const NORMAL_CODE = 1000;
const END = Buffer.alloc(0);
/** Limit of queued pongs for a peer that does not read. Beyond it, pings get no pong. */
const MAX_PONG_BACKLOG_BYTES = 64 * 1024;
/** Pending writes up to this size go into one message. */
const GATHER_BYTES = 16 * 1024;

type Done = (error?: Error | null) => void;

export class WsSocket extends HandlelessSocket {
  readonly #ws: WebSocket;
  readonly #limits: WsSocketLimits;
  readonly #timer: NodeJS.Timeout;
  #receivedSinceTick = false;
  #hasEnded = false;
  #hasSentEnd = false;
  /** The peer has ended and closed cleanly, so it expects no end from this side. */
  #isPeerClosed = false;
  /** Called with the close code. */
  #onClosed: (() => void) | undefined;

  constructor(ws: WebSocket, limits: WsSocketLimits) {
    super();
    this.#ws = ws;
    this.#limits = limits;
    this.#timer = setInterval(() => this.#tick(), limits.pingMs).unref();
    ws.binaryType = 'nodebuffer';
    ws.on('message', (data: Buffer, isBinary) => this.#take(data, isBinary));
    ws.on('ping', (data: Buffer) => {
      this.#receivedSinceTick = true;
      if (ws.readyState === ws.OPEN && ws.bufferedAmount < MAX_PONG_BACKLOG_BYTES) ws.pong(data);
    });
    ws.on('pong', () => (this.#receivedSinceTick = true));
    ws.on('error', (error) => this.destroy(error));
    ws.on('close', (code) => this.#closed(code));
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
    if (this.#isPeerClosed) return done();
    this.#ws.send(END, { binary: true }, (error) => {
      this.#hasSentEnd = !error;
      if (error && this.#hasEnded && this.#ws.readyState === this.#ws.CLOSING)
        this.#onClosed = () => done(this.#isPeerClosed ? null : error);
      else done(this.#isPeerClosed ? null : error);
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#timer);
    // Destroying it before its end was sent is a reset.
    this.#close(error || !this.#hasSentEnd ? RESET_CODE : NORMAL_CODE);
    this.destroyBase(error, done);
  }

  #send(bytes: Buffer, done: Done): void {
    // An empty message would mean an end.
    if (bytes.length === 0) return done();
    const { maxMessageBytes } = this.#limits;
    if (this.#isPeerClosed) return done(failure('ECONNRESET', 'the WebSocket was closed'));
    this.bytesWritten += bytes.length;
    let start = 0;
    for (; start + maxMessageBytes < bytes.length; start += maxMessageBytes)
      this.#ws.send(bytes.subarray(start, start + maxMessageBytes), { binary: true }, ignore);
    this.#ws.send(bytes.subarray(start), { binary: true }, done);
  }

  #take(data: Buffer, isBinary: boolean): void {
    this.#receivedSinceTick = true;
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
    // Keep reading for pongs and the close frame.
    if (this.#hasEnded) this.#ws.resume();
  }

  /**
   * The WebSocket has closed. That is a clean close once both sides have sent their end. A peer that has sent its own end
   * may close earlier, as in TCP: it only rejects later bytes.
   */
  #closed(code: number): void {
    this.#isPeerClosed = this.#hasEnded && code === NORMAL_CODE;
    this.#onClosed?.();
    if (this.#hasEnded && (this.#hasSentEnd || this.#isPeerClosed)) return;
    this.destroy(failure('ECONNRESET', 'the WebSocket closed before the stream ended'));
  }

  #close(code: number): void {
    // Nothing still reads the data, but the close frame must be read.
    if (this.#ws.isPaused) this.#ws.resume();
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.close(code);
  }

  #tick(): void {
    if (!this.#receivedSinceTick && this.#ws.readyState === this.#ws.OPEN && this.#ws.bufferedAmount === 0)
      this.#ws.ping();
    this.#receivedSinceTick = false;
  }
}

function ignore(): void {
  // The last message of a write reports the result.
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
