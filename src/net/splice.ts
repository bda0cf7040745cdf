import type { Socket } from 'node:net';
import { attendedNow } from '../lib/stalls.js';
import { Tally } from '../lib/tally.js';
import type { Conversation } from './conversation/conversation.js';
import { pour, type Pouring } from './pour.js';
import { pourAt, type ByteRate } from './rate.js';
import { resetBehind, resetSocket } from './reset.js';
import { Retirement, type Retirable } from './retirement.js';

/**
 * Joining two sockets so that neither can tell: bytes both ways with backpressure, a half-close passed on as
 * a half-close, a reset as a reset. A SpliceSet owns every splice of one process side: it bounds idle time
 * and lifetime, counts, drains and closes them.
 */

export type SpliceEnd = 'ended' | 'reset' | 'idle' | 'lifetime' | 'unanswered' | 'closed';

export interface SpliceBounds {
  /** Nothing moved either way for this long: closed. */
  readonly idleMs: number;
  /** The same, once one of the two has ended its side. */
  readonly halfClosedMs: number;
  readonly lifetimeMs: number;
  /** `b` must send its first byte within this; 0 means never mind. */
  readonly firstAnswerMs: number;
}

/** How long connections may go on once no more are accepted. */
export interface Drain {
  readonly ms: number;
  /** One on which nothing moved for this long counts as finished; absent: only its end does. */
  readonly quietMs?: number;
  /** What they lead to has changed: each ends at its first quiet moment, as net/retirement.ts says, with `ms` as its limit. */
  readonly retires?: true;
}

export interface SpliceResult {
  readonly end: SpliceEnd;
  /** Bytes that went from `a` to `b`. */
  readonly bytesToB: number;
  /** Bytes that went from `b` to `a`. */
  readonly bytesToA: number;
}

/**
 * Buffer a socket may hold per direction before it pushes back. Throughput of one connection depends on it:
 * `npm run bench` shows the ratio. Memory is used only while a reader is slower than its writer.
 */
export const SOCKET_BUFFER_BYTES = 1024 * 1024;

/** One splice, to be read and to be cut. */
export interface Spliced {
  readonly bytesToA: number;
  readonly bytesToB: number;
  close(end: SpliceEnd): void;
}

export interface SpliceOptions {
  /** Called once, when both sockets are closed. */
  readonly onEnd?: (result: SpliceResult) => void;
  /** Bytes of `a` that were written to `b` already. */
  readonly sentToB?: number;
  /** Whose it is, for `closeOf`. */
  readonly owner?: string;
  /** What both directions keep to, perhaps with other splices. */
  readonly rate?: ByteRate | undefined;
  /** Follows what is said, `a` being the visitor. Not with a rate. */
  readonly conversation?: Conversation | undefined;
}

class Splice implements Spliced, Retirable {
  readonly #a: Socket;
  readonly #b: Socket;
  readonly #onEnd: (result: SpliceResult) => void;
  /** What each had received before it was joined and does not belong to this splice (an upgrade's head, say). */
  readonly #bytesBefore: { a: number; b: number };
  #open = 2;
  #end: SpliceEnd = 'ended';
  readonly #pourings: readonly (Pouring | undefined)[];
  readonly owner: string | undefined;
  readonly conversation: Conversation | undefined;
  readonly startedAt: number;
  movedAt: number;
  #moved = 0;

  constructor(
    a: Socket,
    b: Socket,
    { sentToB = 0, owner, rate, conversation }: SpliceOptions,
    now: number,
    onEnd: (result: SpliceResult) => void,
  ) {
    this.#a = a;
    this.#b = b;
    this.#onEnd = onEnd;
    this.owner = owner;
    this.conversation = conversation;
    this.startedAt = now;
    this.movedAt = now;
    // What sits in the read buffer already was counted by the socket, but belongs to this splice.
    this.#bytesBefore = { a: a.bytesRead - a.readableLength - sentToB, b: b.bytesRead - b.readableLength };
    this.#join(a, b);
    this.#join(b, a);
    if (rate) {
      pourAt(rate, a, b);
      pourAt(rate, b, a);
      this.#pourings = [];
    } else if (conversation) {
      this.#pourings = [
        pour(a, b, (bytes, start, end) => conversation.asked(bytes, start, end)),
        pour(b, a, (bytes, start, end) => conversation.answered(bytes, start, end)),
      ];
    } else this.#pourings = [pour(a, b), pour(b, a)];
  }

  get bytesToB(): number {
    return this.#a.bytesRead - this.#bytesBefore.a;
  }

  get bytesToA(): number {
    return this.#b.bytesRead - this.#bytesBefore.b;
  }

  get answered(): boolean {
    return this.bytesToA > 0;
  }

  get isWritten(): boolean {
    return this.#a.writableLength === 0 && this.#b.writableLength === 0;
  }

  get halfClosed(): boolean {
    return this.#a.readableEnded || this.#b.readableEnded;
  }

  /** Notes whether anything moved since the last look. */
  look(now: number): void {
    const moved = this.#a.bytesRead + this.#b.bytesRead;
    if (moved !== this.#moved) {
      this.#moved = moved;
      this.movedAt = now;
    } else {
      for (const pouring of this.#pourings) pouring?.rest();
    }
  }

  /** Ends both directions in order; the sockets close when their peers agree. */
  end(): void {
    this.#a.end();
    this.#b.end();
  }

  close(end: SpliceEnd): void {
    this.#end = end;
    resetSocket(this.#a);
    resetSocket(this.#b);
  }

  #join(from: Socket, to: Socket): void {
    const fail = (): void => {
      if (this.#end === 'ended') this.#end = 'reset';
      resetBehind(to);
    };
    const closed = (): void => {
      // Closed before it had said and heard everything: the other side must not take it for an orderly end.
      if (!from.readableEnded || !from.writableFinished) fail();
      if (--this.#open === 0) {
        this.#onEnd({ end: this.#end, bytesToA: this.bytesToA, bytesToB: this.bytesToB });
      }
    };
    from.on('error', fail);
    // It may have closed before we listened.
    if (from.closed) queueMicrotask(closed);
    else from.on('close', closed);
  }
}

export class SpliceSet {
  /** How those ended that are over. */
  readonly ends = new Tally<SpliceEnd>();
  readonly #splices = new Set<Splice>();
  /** What those have moved. */
  #endedBytes = { toA: 0, toB: 0 };
  readonly #bounds: SpliceBounds;
  readonly #retirement = new Retirement();
  #timer: NodeJS.Timeout | undefined;
  #whenEmpty: (() => void)[] = [];

  constructor(bounds: SpliceBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#splices.size;
  }

  /** Joins `a` and `b` and owns both from here on. Both must have been made with `allowHalfOpen`. */
  add(a: Socket, b: Socket, options: SpliceOptions = {}): Spliced {
    const splice = new Splice(a, b, options, attendedNow(), (result) => {
      this.#splices.delete(splice);
      this.#retirement.delete(splice);
      this.ends.add(result.end);
      this.#endedBytes.toA += result.bytesToA;
      this.#endedBytes.toB += result.bytesToB;
      options.onEnd?.(result);
      if (this.#splices.size === 0) this.#emptied();
    });
    this.#splices.add(splice);
    this.#timer ??= setInterval(() => this.#sweep(), this.#sweepMs()).unref();
    return splice;
  }

  /** Bytes moved by the splices that are open now. */
  get openBytes(): { toA: number; toB: number } {
    let toA = 0;
    let toB = 0;
    for (const splice of this.#splices) {
      toA += splice.bytesToA;
      toB += splice.bytesToB;
    }
    return { toA, toB };
  }

  /** Bytes moved by all splices there ever were. */
  get totalBytes(): { toA: number; toB: number } {
    const { toA, toB } = this.openBytes;
    return { toA: toA + this.#endedBytes.toA, toB: toB + this.#endedBytes.toB };
  }

  /** Splices that are retiring. */
  get retiring(): number {
    return this.#retirement.size;
  }

  /** How long retiring splices may live on, those included that are retiring already. */
  set retireMs(ms: number) {
    this.#retirement.ms = ms;
  }

  /** What the splices that there are lead to has changed: each ends at its first quiet moment. */
  retire(ms: number): void {
    this.retireMs = ms;
    this.#retirement.add(this.#splices);
  }

  /** Waits until the last splice has ended, within the bounds of `drain`; then what is left is reset. */
  async drain({ ms, quietMs, retires }: Drain): Promise<void> {
    if (retires) {
      this.retire(ms);
      if (this.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    } else if (this.size > 0 && ms > 0) {
      const looking =
        quietMs === undefined ? undefined : setInterval(() => this.#closeQuiet(quietMs), quietMs / 4);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#whenEmpty.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      clearInterval(looking);
    }
    this.closeAll();
  }

  #closeQuiet(quietMs: number): void {
    const now = attendedNow();
    for (const splice of this.#splices) {
      splice.look(now);
      const quiet = now - splice.movedAt;
      // An orderly end first: an idle keep-alive connection takes it as such. Then no more waiting.
      if (quiet > 2 * quietMs) splice.close('closed');
      else if (quiet > quietMs) splice.end();
    }
  }

  /** Resets every splice of `owner`. */
  closeOf(owner: string): void {
    for (const splice of this.#splices) if (splice.owner === owner) splice.close('closed');
  }

  closeAll(): void {
    for (const splice of this.#splices) splice.close('closed');
    // Nobody waits on for one that takes its time to close: TLS within TLS may.
    this.#emptied();
  }

  #emptied(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const waiters = this.#whenEmpty;
    this.#whenEmpty = [];
    for (const waiter of waiters) waiter();
  }

  // One timer for all, instead of one a socket that every chunk would have to touch.
  #sweepMs(): number {
    const shortest = Math.min(
      this.#bounds.idleMs,
      this.#bounds.halfClosedMs,
      this.#bounds.firstAnswerMs || Infinity,
    );
    return Math.max(10, Math.min(5_000, shortest / 4));
  }

  #sweep(): void {
    const now = attendedNow();
    const { idleMs, halfClosedMs, lifetimeMs, firstAnswerMs } = this.#bounds;
    for (const splice of this.#splices) {
      splice.look(now);
      if (firstAnswerMs > 0 && !splice.answered && now - splice.startedAt > firstAnswerMs)
        splice.close('unanswered');
      else if (now - splice.movedAt > (splice.halfClosed ? halfClosedMs : idleMs)) splice.close('idle');
      else if (now - splice.startedAt > lifetimeMs) splice.close('lifetime');
    }
  }
}
