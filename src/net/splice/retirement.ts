import { activeNow } from '../../lib/stalls.js';
import type { Conversation } from '../conversation/conversation.js';

/** A connection to a former target. It ends as soon as the end breaks nothing. */
export interface Retirable {
  /** State of its HTTP exchanges; undefined for other protocols. */
  readonly conversation: Conversation | undefined;
  /** When bytes last moved, as of the last `check`. */
  readonly movedAt: number;
  /** No writes are pending. */
  readonly isWritten: boolean;
  /** When `end` was called. */
  readonly endedAt: number | undefined;
  check(now: number): void;
  /** Ends both directions in order. */
  end(): void;
  /** Ends both directions with the last byte of an exchange, if exchanges can be followed that precisely. */
  endAfterExchange(): void;
  close(end: 'closed'): void;
}

/** Interval for reading the counters of retiring connections. Retirement adds no work per byte. */
const CHECK_EVERY_MS = 100;
/** Idle this long between exchanges: the visitor expects nothing. */
const QUIET_MS = 500;
/**
 * After this long, a shorter pause or the end of an exchange is enough, because the visitor sends requests more often.
 */
const LESS_QUIET_AFTER_MS = 2_000;
const SHORT_QUIET_MS = 100;
/** After this long without bytes, an exchange counts as finished. */
export const STALLED_MS = 5 * 60_000;
/** Peers close their side within this time after a clean close, or are closed. */
const ENDED_MS = 2_000;

/**
 * The retiring connections of one owner. HTTP ends at its first quiet moment between exchanges, an event stream at its first
 * pause. Other connections are reset after `ms`: a clean close while their bytes are in flight would look complete. An
 * exchange in progress has no limit while bytes move.
 */
export class Retirement {
  /** How long retiring connections may live. */
  ms = 0;
  readonly #since = new Map<Retirable, number>();
  #timer: NodeJS.Timeout | undefined;

  get size(): number {
    return this.#since.size;
  }

  add(connections: Iterable<Retirable>): void {
    const now = activeNow();
    for (const each of connections) if (!this.#since.has(each)) this.#since.set(each, now);
    if (this.#since.size > 0) this.#timer ??= setInterval(() => this.#check(), CHECK_EVERY_MS).unref();
  }

  /** Removes a connection that has closed. */
  delete(connection: Retirable): void {
    this.#since.delete(connection);
    if (this.#since.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    const now = activeNow();
    for (const [connection, since] of this.#since) {
      connection.check(now);
      this.#judge(connection, now - since, now);
    }
  }

  #judge(connection: Retirable, age: number, now: number): void {
    const { endedAt, movedAt } = connection;
    if (endedAt !== undefined) {
      if (connection.isWritten && now - endedAt > ENDED_MS) connection.close('closed');
      return;
    }
    const quiet = now - movedAt;
    if (age > LESS_QUIET_AFTER_MS) connection.endAfterExchange();
    switch (connection.conversation?.progress) {
      case 'between':
        if (quiet >= (age > LESS_QUIET_AFTER_MS ? SHORT_QUIET_MS : QUIET_MS)) connection.end();
        break;
      case 'exchange':
        if (Math.min(age, quiet) > STALLED_MS) connection.close('closed');
        break;
      case 'endless':
        if (quiet >= QUIET_MS && connection.isWritten) connection.end();
        else if (age > this.ms) connection.close('closed');
        break;
      default:
        if (age > this.ms) connection.close('closed');
    }
  }
}
