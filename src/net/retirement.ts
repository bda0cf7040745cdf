import { attendedNow } from '../lib/stalls.js';
import type { Conversation } from './conversation/conversation.js';

/** A connection that is to end when that breaks nothing, because what it leads to has changed. */
export interface Retirable {
  /** What is known of its exchanges; undefined: its protocol is another. */
  readonly conversation: Conversation | undefined;
  /** When something last moved, as of the last `look`. */
  readonly movedAt: number;
  /** Nothing waits to be written. */
  readonly isWritten: boolean;
  /** When `end` was called. */
  readonly endedAt: number | undefined;
  look(now: number): void;
  /** Ends both directions in order. */
  end(): void;
  /** Ends them with the last byte of an exchange, where exchanges can be followed that exactly. */
  endAfterExchange(): void;
  close(end: 'closed'): void;
}

/** While something retires, its counters are read this often. Nothing is done for each byte. */
const LOOK_EVERY_MS = 100;
/** Between exchanges and nothing moved for this long: the visitor does not expect anything. */
const QUIET_MS = 500;
/** A visitor that asks more often than that is watched for so long. Then a shorter pause is enough, or the end of an exchange. */
const PATIENT_MS = 2_000;
const SHORT_QUIET_MS = 100;
/** An exchange under way on which nothing moved for this long is not waited for any longer. */
export const STILL_MS = 5 * 60_000;
/** Peers close their side within this of an orderly end, or it is done for them. */
const ENDED_MS = 2_000;

/**
 * The connections of one owner that retire: HTTP at its first quiet moment between exchanges; other protocols, upgraded
 * connections and event streams live on for `ms` at most. An exchange under way has no limit while it moves.
 */
export class Retirement {
  /** How long connections may live on. */
  ms = 0;
  readonly #since = new Map<Retirable, number>();
  #timer: NodeJS.Timeout | undefined;

  get size(): number {
    return this.#since.size;
  }

  add(connections: Iterable<Retirable>): void {
    const now = attendedNow();
    for (const each of connections) if (!this.#since.has(each)) this.#since.set(each, now);
    if (this.#since.size > 0) this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** It has closed. */
  delete(connection: Retirable): void {
    this.#since.delete(connection);
    if (this.#since.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = attendedNow();
    for (const [connection, since] of this.#since) {
      connection.look(now);
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
    if (age > PATIENT_MS) connection.endAfterExchange();
    switch (connection.conversation?.progress) {
      case 'between':
        if (quiet >= (age > PATIENT_MS ? SHORT_QUIET_MS : QUIET_MS)) connection.end();
        break;
      case 'exchange':
        if (Math.min(age, quiet) > STILL_MS) connection.close('closed');
        break;
      case 'endless':
      case 'unclear':
        if (quiet >= QUIET_MS && connection.isWritten) connection.end();
        else if (age > this.ms) connection.close('closed');
        break;
      default:
        if (age > this.ms) connection.close('closed');
    }
  }
}
