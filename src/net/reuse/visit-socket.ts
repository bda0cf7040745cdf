import type { Socket } from 'node:net';
import { bytesOf, HandlelessSocket } from '../splice/handleless-socket.js';

type Done = (error?: Error | null) => void;

/** What a visit's stream uses of the connection below it. */
export interface VisitBelow {
  /** The reader wants more. */
  resume(): void;
  send(chunks: readonly Buffer[], done: Done): void;
  end(done: Done): void;
  /** Called when the stream was destroyed. `isReset`: the peer must not see a clean end. */
  left(isReset: boolean): void;
  /** Calls `take` once what arrives is unframed. It then reads the connection below itself. */
  whenRaw(take: (below: Socket) => void): void;
}

/** One visit on a connection that serves several, one after another. */
export class VisitSocket extends HandlelessSocket {
  readonly #below: VisitBelow;
  #isReset = false;

  constructor(below: VisitBelow) {
    super();
    this.#below = below;
  }

  /** Adds received bytes. Returns false when the reader is slower. */
  receive(bytes: Buffer): boolean {
    if (this.destroyed) return true;
    this.bytesRead += bytes.length;
    return this.push(bytes);
  }

  /** For `pour`: lets `take` read the connection below, once no frames follow. It first takes what this stream has. */
  whenRaw(take: (below: Socket) => void): void {
    this.#below.whenRaw((below) => {
      if (this.destroyed) return;
      const before = this.bytesRead - below.bytesRead + below.readableLength;
      Object.defineProperty(this, 'bytesRead', { get: () => before + below.bytesRead });
      take(below);
      // Its end is still announced here.
      this.resume();
    });
  }

  override resetAndDestroy(): this {
    this.#isReset = true;
    return this.destroy();
  }

  override _read(): void {
    this.#below.resume();
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this.#send([bytesOf(chunk, encoding)], done);
  }

  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], done: Done): void {
    this.#send(
      chunks.map(({ chunk, encoding }) => bytesOf(chunk, encoding)),
      done,
    );
  }

  override _final(done: Done): void {
    this.#below.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#below.left(this.#isReset || error !== null);
    this.destroyBase(error, done);
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    for (const { length } of chunks) this.bytesWritten += length;
    this.#below.send(chunks, done);
  }
}
