import type { Socket } from 'node:net';
import { activeNow } from '../../lib/stalls.js';
import { Tally } from '../../lib/tally.js';
import { WhenEmpty } from '../../lib/when-empty.js';
import { Retirement } from './retirement.js';
import { Splice, type Spliced, type SpliceEnd, type SpliceOptions } from './spliced.js';

/**
 * Joins two sockets transparently: bytes in both directions with backpressure, a half-close as a half-close, a reset as a
 * reset. A SpliceSet owns every splice of one side of the process: it enforces idle time and lifetime, counts, drains and
 * closes.
 */

export interface SpliceLimits {
  /** Close after this long without bytes in either direction. */
  readonly idleMs: number;
  /** The same, once one side has ended. */
  readonly halfClosedMs: number;
  readonly lifetimeMs: number;
  /** Timeout for the first byte of `b`; 0 for none. */
  readonly firstResponseMs: number;
}

/** How long connections may continue once no more are accepted. */
export interface Drain {
  readonly ms: number;
  /**
   * A connection without bytes for this long counts as finished, unless an HTTP exchange is in progress. Default: only its end
   * does.
   */
  readonly quietMs?: number;
  /** The target has changed: each connection ends at its first quiet moment (net/splice/retirement.ts), after `ms` at most. */
  readonly retires?: true;
  /** Called with the number of connections that are reset because they did not end in time. */
  readonly onCut?: (connections: number) => void;
}

/**
 * Bytes that a socket may buffer per direction before it pushes back. The throughput of one connection depends on it:
 * `npm run bench` shows the ratio. Memory is used only while a reader is slower than its writer.
 */
export const SOCKET_BUFFER_BYTES = 1024 * 1024;

export class SpliceSet {
  /** How finished splices ended. Like the bytes, without those that another process counts. */
  readonly ends = new Tally<SpliceEnd>();
  readonly #splices = new Set<Splice>();
  /** Bytes of finished splices. */
  #endedBytes = { toA: 0, toB: 0 };
  readonly #limits: SpliceLimits;
  readonly #retirement = new Retirement();
  #timer: NodeJS.Timeout | undefined;
  readonly #whenEmpty = new WhenEmpty();

  constructor(limits: SpliceLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#splices.size;
  }

  /** Open splices, without those that another process counts. */
  get counted(): number {
    return [...this.#splices].filter(({ isCountedElsewhere }) => !isCountedElsewhere).length;
  }

  /** Joins `a` and `b` and takes ownership of both. Create both with `allowHalfOpen`. */
  add(a: Socket, b: Socket, options: SpliceOptions = {}): Spliced {
    const splice = new Splice(a, b, options, activeNow(), (result) => {
      this.#splices.delete(splice);
      this.#retirement.delete(splice);
      if (!splice.isCountedElsewhere) {
        this.ends.add(result.end);
        this.#endedBytes.toA += result.bytesToA;
        this.#endedBytes.toB += result.bytesToB;
      }
      options.onEnd?.(result);
      if (this.#splices.size === 0) this.#emptied();
    });
    this.#splices.add(splice);
    this.#timer ??= setInterval(() => this.#sweep(), this.#sweepMs()).unref();
    return splice;
  }

  /** Bytes moved by open splices. */
  get openBytes(): { toA: number; toB: number } {
    let toA = 0;
    let toB = 0;
    for (const splice of this.#splices) {
      if (splice.isCountedElsewhere) continue;
      toA += splice.bytesToA;
      toB += splice.bytesToB;
    }
    return { toA, toB };
  }

  /** Bytes moved by all splices, open and finished. */
  get totalBytes(): { toA: number; toB: number } {
    const { toA, toB } = this.openBytes;
    return { toA: toA + this.#endedBytes.toA, toB: toB + this.#endedBytes.toB };
  }

  /** Number of retiring splices. */
  get retiring(): number {
    return this.#retirement.size;
  }

  /** How long retiring splices may live, including those that already retire. */
  set retireMs(ms: number) {
    this.#retirement.ms = ms;
  }

  /** The target of all current splices has changed: each ends at its first quiet moment. */
  retire(ms: number): void {
    this.retireMs = ms;
    this.#retirement.add(this.#splices);
  }

  /** Waits for the last splice to end, within the limits of `drain`, then resets the rest. */
  async drain({ ms, quietMs, retires, onCut }: Drain): Promise<void> {
    if (retires) {
      this.retire(ms);
      if (this.size > 0) await this.#whenEmpty.wait();
    } else if (this.size > 0 && ms > 0) {
      const checking = quietMs === undefined ? undefined : this.#closeFinished(quietMs);
      await this.#whenEmpty.wait(ms);
      clearInterval(checking);
      if (this.size > 0) onCut?.(this.size);
    }
    this.closeAll();
  }

  /** Ends each splice after its next exchange, or without bytes for `quietMs`, until the timer is cleared. */
  #closeFinished(quietMs: number): NodeJS.Timeout {
    for (const splice of this.#splices) splice.endAfterExchange();
    const since = activeNow();
    return setInterval(() => this.#closeQuiet(quietMs, activeNow() - since), quietMs / 10);
  }

  #closeQuiet(quietMs: number, age: number): void {
    const now = activeNow();
    for (const splice of this.#splices) {
      splice.check(now);
      const quiet = now - splice.movedAt;
      if (quiet <= quietMs / 10 || splice.conversation?.progress === 'exchange') continue;
      // A visitor of HTTP/2 may never pause for that long, and cannot be told that the connection ends.
      const isBusy =
        age > 2 * quietMs && !splice.canAnnounceEnd && splice.conversation?.progress === 'between';
      // An idle keep-alive connection accepts a clean close. In the middle of a transfer that would look complete.
      if (quiet > 2 * quietMs) splice.close('closed');
      else if (quiet > (isBusy ? quietMs / 10 : quietMs) && splice.isBetweenMessages) splice.end();
    }
  }

  /** Resets every splice of `owner`. */
  closeOf(owner: string): void {
    for (const splice of this.#splices) if (splice.owner === owner) splice.close('closed');
  }

  closeAll(): void {
    for (const splice of this.#splices) splice.close('closed');
    // Do not wait for sockets that close slowly, as TLS within TLS may.
    this.#emptied();
  }

  #emptied(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#whenEmpty.emptied();
  }

  // One timer for all splices. A timer per socket would be touched by every chunk.
  #sweepMs(): number {
    const shortest = Math.min(
      this.#limits.idleMs,
      this.#limits.halfClosedMs,
      this.#limits.firstResponseMs || Infinity,
    );
    return Math.max(10, Math.min(5_000, shortest / 4));
  }

  #sweep(): void {
    const now = activeNow();
    const { idleMs, halfClosedMs, lifetimeMs, firstResponseMs } = this.#limits;
    for (const splice of this.#splices) {
      splice.check(now);
      if (firstResponseMs > 0 && !splice.answered && now - splice.startedAt > firstResponseMs)
        splice.close('no_response');
      else if (now - splice.movedAt > (splice.halfClosed ? halfClosedMs : idleMs)) splice.close('idle');
      else if (now - splice.startedAt > lifetimeMs) splice.close('lifetime');
    }
  }
}
