import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * `from.pipe(to)` for sockets, without a new buffer for every read. Node gives each read 64 KiB outside V8's heap;
 * at some hundred MB/s V8 answers with one full collection after another, which cost a relay more than its bytes.
 *
 * Node lets a socket read into memory of its owner (`onread`), but only one that it connects itself. What that option
 * sets is set here on any socket, by the names node gives it; a node that has other names pipes as ever.
 */
export function pour(from: Socket, to: Socket, heard?: Heard): Pouring {
  const { _handle: handle } = from as { _handle?: Partial<ReadHandle> | null };
  if (INTERNALS && handle?.useUserBuffer)
    return new InPlace(from, to, handle as ReadHandle, INTERNALS, heard);
  return new Piped(from, to, heard);
}

export interface Pouring {
  /** What is forwarded instead of some bytes, if anything is. Only bytes that are read in place are offered to it. */
  amend: ((bytes: Buffer, start: number, end: number) => Buffer | undefined) | undefined;
  /** Gives its buffer back; for one on which nothing moves, and that may stay so for long. */
  rest(): void;
  /** Ends `to` after what has come so far. What comes then is read and dropped: unread, it would make a reset of the close. */
  finish(): void;
}

/** Sees the bytes that have passed, from `start` to `end`; they are not its to keep. */
type Heard = (bytes: Buffer, start: number, end: number) => void;

/** Sockets that say little all read here: what they read is copied before the next one does. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024);
/** A read of at least this much is part of something long, and gets a buffer of its own for what follows. */
const LONG_BYTES = 16 * 1024;
const BUFFER_BYTES = 128 * 1024;
/** One TLS record's worth, the most that a TLSSocket reads at a time. */
const RECORD_BYTES = 16 * 1024;
const MAX_SPARE = 64;

/** A buffer and who still needs what is in it: its reader, and every write that is under way. */
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
  amend: Pouring['amend'];
  readonly #from: Socket;
  readonly #to: Socket;

  constructor(from: Socket, to: Socket, heard?: Heard) {
    this.#from = from;
    this.#to = to;
    from.pipe(to);
    if (heard) from.on('data', (chunk: Buffer) => heard(chunk, 0, chunk.length));
  }

  rest(): void {}

  finish(): void {
    this.#from.unpipe(this.#to).resume();
    this.#to.end();
  }
}

export class InPlace implements Pouring {
  amend: Pouring['amend'];
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #lend: (bytes: Buffer) => void;
  readonly #gathers: boolean;
  readonly #heard: Heard | undefined;
  /** Where node reads to while there is much to move. */
  #own: Lent | undefined;
  /** What of #own was read, and what of that was passed on. */
  #filled = 0;
  #passed = 0;
  #passing: NodeJS.Immediate | undefined;
  #isFinished = false;

  constructor(from: Socket, to: Socket, handle: ReadHandle, internals: Internals, heard?: Heard) {
    this.#from = from;
    this.#to = to;
    this.#gathers = from instanceof TLSSocket;
    this.#heard = heard;
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
      heard?.(chunk, 0, chunk.length);
    }
    from.resume();
  }

  rest(): void {
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

  /** Takes the `count` bytes of a read; false stops the reading until `to` has drained. */
  #take(count: number): boolean {
    if (this.#isFinished) return true;
    const bytes = this.#own?.bytes ?? SHARED;
    const start = this.#filled;
    const amended = this.amend?.(bytes, start, start + count);
    let more: boolean;
    if (amended) more = this.#takeInstead(amended);
    else more = this.#own ? this.#takeMuch(count) : this.#takeLittle(count);
    this.#heard?.(bytes, start, start + count);
    // What was heard may have been the last.
    return more || this.#isFinished;
  }

  #takeInstead(bytes: Buffer): boolean {
    this.#pass();
    this.#forget();
    return this.#to.write(bytes);
  }

  #takeLittle(count: number): boolean {
    if (count >= LONG_BYTES) this.#renew();
    return this.#to.write(Buffer.from(SHARED.subarray(0, count)));
  }

  /** What is in a buffer of this socket's own. */
  #takeMuch(count: number): boolean {
    this.#filled += count;
    const hasRoom = this.#filled + RECORD_BYTES <= BUFFER_BYTES;
    // A TLSSocket reads record by record; those that arrived together are better passed on together.
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
