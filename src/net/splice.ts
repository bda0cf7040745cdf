import type { Socket } from 'node:net';
import { attendedNow } from '../lib/stalls.js';
import { Tally } from '../lib/tally.js';
import { Retirement } from './retirement.js';
import { Splice, type Spliced, type SpliceEnd, type SpliceOptions } from './spliced.js';

/**
 * Joining two sockets so that neither can tell: bytes both ways with backpressure, a half-close passed on as
 * a half-close, a reset as a reset. A SpliceSet owns every splice of one process side: it bounds idle time
 * and lifetime, counts, drains and closes them.
 */

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

/**
 * Buffer a socket may hold per direction before it pushes back. Throughput of one connection depends on it:
 * `npm run bench` shows the ratio. Memory is used only while a reader is slower than its writer.
 */
export const SOCKET_BUFFER_BYTES = 1024 * 1024;

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
