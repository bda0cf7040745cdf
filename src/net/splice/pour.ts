import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * `from.pipe(to)` for sockets, without a new buffer for every read. Node allocates 64 KiB outside V8's heap for each
 * read. At a few hundred MB/s V8 then runs full collections continuously, which cost a relay more CPU than its bytes.
 *
 * Node lets a socket read into its owner's memory (`onread`), but only if Node itself connects the socket. This sets the
 * same internals on any socket. A Node version with other internals falls back to `pipe`.
 */
export function pour(from: Socket, to: Socket, onBytes?: OnBytes): Pouring {
  const { _handle: handle } = from as { _handle?: Partial<ReadHandle> | null };
  if (INTERNALS && handle?.useUserBuffer)
    return new InPlace(from, to, handle as ReadHandle, INTERNALS, onBytes);
  if (INTERNALS && 'whenRaw' in from) return new FramedFirst(from as Socket & BecomesRaw, to, onBytes);
  return new Piped(from, to, onBytes);
}

/** A socket whose bytes are in frames of another socket at first, and later all bytes of that socket. */
interface BecomesRaw {
  whenRaw(take: (below: Socket) => void): void;
}

export interface Pouring {
  /**
   * Returns the bytes to forward instead, or undefined to forward them unchanged. Called only for bytes that are read
   * in place.
   */
  rewrite: ((bytes: Buffer, start: number, end: number) => Buffer | undefined) | undefined;
  /** Releases the buffer of an idle connection. */
  releaseBuffer(): void;
  /** Ends `to` after the bytes so far. Later input is read and dropped: unread, it would turn the close into a reset. */
  finish(): void;
}

/** Called with the bytes from `start` to `end` after they were forwarded. Must not keep them. */
type OnBytes = (bytes: Buffer, start: number, end: number) => void;

/** Sockets with little traffic all read into this buffer. Their bytes are copied before the next read. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
/** A read of at least this much is part of a long transfer, so the socket gets its own buffer for the rest. */
const LONG_BYTES = 16 * 1024;
const BUFFER_BYTES = 128 * 1024;
/** One TLS record, the most that a TLSSocket reads at once. */
const RECORD_BYTES = 16 * 1024;
const MAX_SPARE = 64;

/** A buffer with a count of its users: its reader and every pending write. */
class Lent {
  static readonly #spare: Buffer[] = [];
  readonly bytes = Lent.#spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #uses = 1;

  use(): void {
    this.#uses++;
  }

  release(): void {
    if (--this.#uses === 0 && Lent.#spare.length < MAX_SPARE) Lent.#spare.push(this.bytes);
  }
}

class Piped implements Pouring {
  rewrite: Pouring['rewrite'];
  readonly #from: Socket;
  readonly #to: Socket;

  constructor(from: Socket, to: Socket, onBytes?: OnBytes) {
    this.#from = from;
    this.#to = to;
    from.pipe(to);
    if (onBytes) from.on('data', (chunk: Buffer) => onBytes(chunk, 0, chunk.length));
  }

  releaseBuffer(): void {}

  finish(): void {
    this.#from.unpipe(this.#to).resume();
    this.#to.end();
  }
}

/** Pipes what arrives in frames, and then pours from the socket below. */
class FramedFirst implements Pouring {
  #pouring: Pouring;
  #isFinished = false;

  constructor(from: Socket & BecomesRaw, to: Socket, onBytes?: OnBytes) {
    this.#pouring = new Piped(from, to, onBytes);
    from.whenRaw((below) => {
      if (this.#isFinished) {
        below.resume();
        return;
      }
      from.unpipe(to);
      for (let chunk: Buffer | null; (chunk = from.read() as Buffer | null);) to.write(chunk);
      const { rewrite } = this.#pouring;
      this.#pouring = pour(below, to, onBytes);
      this.#pouring.rewrite = rewrite;
    });
  }

  get rewrite(): Pouring['rewrite'] {
    return this.#pouring.rewrite;
  }

  set rewrite(rewrite: Pouring['rewrite']) {
    this.#pouring.rewrite = rewrite;
  }

  releaseBuffer(): void {
    this.#pouring.releaseBuffer();
  }

  finish(): void {
    this.#isFinished = true;
    this.#pouring.finish();
  }
}

export class InPlace implements Pouring {
  rewrite: Pouring['rewrite'];
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #lend: (bytes: Buffer) => void;
  readonly #gathers: boolean;
  readonly #onBytes: OnBytes | undefined;
  /** The buffer for reads while there is much to move. */
  #own: Lent | undefined;
  /** Bytes read into #own, and how many of them were forwarded. */
  #filled = 0;
  #passed = 0;
  #passing: NodeJS.Immediate | undefined;
  #isFinished = false;

  constructor(from: Socket, to: Socket, handle: ReadHandle, internals: Internals, onBytes?: OnBytes) {
    this.#from = from;
    this.#to = to;
    this.#gathers = from instanceof TLSSocket;
    this.#onBytes = onBytes;
    const inside = from as unknown as Record<symbol, unknown>;
    this.#lend = (bytes) => {
      inside[internals.buffer] = bytes;
      handle.useUserBuffer(bytes);
    };
    if (from.readableEnded) process.nextTick(() => to.end());
    else from.once('end', () => this.#end());
    to.on('drain', () => from.resume());
    inside[internals.callback] = (count: number) => this.#take(count);
    inside[internals.next] = () => this.#own?.bytes.subarray(this.#filled) ?? SHARED;
    this.#lend(SHARED);
    for (let chunk: Buffer | null; (chunk = from.read() as Buffer | null);) {
      to.write(chunk);
      onBytes?.(chunk, 0, chunk.length);
    }
    from.resume();
  }

  releaseBuffer(): void {
    if (!this.#own || this.#filled > this.#passed || this.#from.destroyed) return;
    this.#forget();
    this.#lend(SHARED);
  }

  finish(): void {
    if (this.#isFinished) return;
    this.#end();
    this.#isFinished = true;
    this.#from.resume();
  }

  /** Handles a read of `count` bytes. Returns false to pause reading until `to` has drained. */
  #take(count: number): boolean {
    if (this.#isFinished) return true;
    const bytes = this.#own?.bytes ?? SHARED;
    const start = this.#filled;
    const amended = this.rewrite?.(bytes, start, start + count);
    let more: boolean;
    if (amended) more = this.#takeInstead(amended);
    else more = this.#own ? this.#takeIntoOwn(count) : this.#takeIntoShared(count);
    this.#onBytes?.(bytes, start, start + count);
    // `onBytes` may have called `finish`.
    return more || this.#isFinished;
  }

  #takeInstead(bytes: Buffer): boolean {
    this.#pass();
    this.#forget();
    return this.#to.write(bytes);
  }

  #takeIntoShared(count: number): boolean {
    if (count >= LONG_BYTES) this.#renew();
    return this.#to.write(Buffer.from(SHARED.subarray(0, count)));
  }

  /** Handles a read into this socket's own buffer. */
  #takeIntoOwn(count: number): boolean {
    this.#filled += count;
    const hasRoom = this.#filled + RECORD_BYTES <= BUFFER_BYTES;
    // A TLSSocket reads one record at a time. Records that arrive together are forwarded in one write.
    if (this.#gathers && hasRoom && count === RECORD_BYTES) {
      this.#passing ??= setImmediate(() => {
        if (!this.#pass()) this.#from.pause();
      });
      return true;
    }
    const isLong = this.#filled - this.#passed >= LONG_BYTES;
    const more = this.#pass();
    if (isLong && !(this.#gathers && hasRoom)) this.#renew();
    else this.#forget();
    return more;
  }

  #pass(): boolean {
    clearImmediate(this.#passing);
    this.#passing = undefined;
    const own = this.#own;
    const bytes = own?.bytes.subarray(this.#passed, this.#filled);
    if (!own || !bytes?.length) return true;
    this.#passed = this.#filled;
    own.use();
    return this.#to.write(bytes, () => own.release());
  }

  #renew(): void {
    this.#forget();
    this.#own = new Lent();
  }

  #forget(): void {
    this.#own?.release();
    this.#own = undefined;
    this.#filled = 0;
    this.#passed = 0;
  }

  #end(): void {
    this.#pass();
    this.#forget();
    this.#to.end();
  }
}

interface ReadHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

interface Internals {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly next: symbol;
}

const INTERNALS = findInternals();

function findInternals(): Internals | undefined {
  const options = { onread: { buffer: Buffer.alloc(1), callback: () => true } };
  const symbols = Object.getOwnPropertySymbols(new Socket(options as object));
  const named = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [buffer, callback, next] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map(named);
  return buffer && callback && next ? { buffer, callback, next } : undefined;
}
