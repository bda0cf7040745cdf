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
  look(now: number): void;
  /** Ends both directions in order. */
  end(): void;
  close(end: 'closed'): void;
}

/** While something retires, its counters are read this often. Nothing is done for each byte. */
const LOOK_EVERY_MS = 100;
/** Between exchanges and nothing moved for this long: the visitor does not expect anything. */
const QUIET_MS = 500;
/** A visitor that asks more often than that is watched for so long before a shorter pause is enough. */
const PATIENT_MS = 2_000;
const SHORT_QUIET_MS = 100;
/** An exchange under way on which nothing moved for this long is not waited for any longer. */
export const STILL_MS = 5 * 60_000;
/** Peers close their side within this of an orderly end, or it is done for them. */
const ENDED_MS = 2_000;

interface State {
  readonly since: number;
  endedAt?: number;
}

/**
 * The connections of one owner that retire: HTTP at its first quiet moment between exchanges; other protocols, upgraded
 * connections and event streams live on for `ms` at most. An exchange under way has no limit while it moves.
 */
export class Retirement {
  /** How long connections may live on. */
  ms = 0;
  readonly #states = new Map<Retirable, State>();
  #timer: NodeJS.Timeout | undefined;

  get size(): number {
    return this.#states.size;
  }

  add(connections: Iterable<Retirable>): void {
    const since = attendedNow();
    for (const each of connections) if (!this.#states.has(each)) this.#states.set(each, { since });
    if (this.#states.size > 0) this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** It has closed. */
  delete(connection: Retirable): void {
    this.#states.delete(connection);
    if (this.#states.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = attendedNow();
    for (const [connection, state] of this.#states) {
      connection.look(now);
      this.#judge(connection, state, now);
    }
  }

  #judge(connection: Retirable, state: State, now: number): void {
    const { since, endedAt } = state;
    const [age, quiet] = [now - since, now - connection.movedAt];
    if (endedAt !== undefined) {
      if (connection.isWritten && now - endedAt > ENDED_MS) connection.close('closed');
      return;
    }
    const end = (): void => {
      state.endedAt = now;
      connection.end();
    };
    switch (connection.conversation?.progress) {
      case 'between':
        if (quiet >= (age > PATIENT_MS ? SHORT_QUIET_MS : QUIET_MS)) end();
        break;
      case 'exchange':
        if (Math.min(age, quiet) > STILL_MS) connection.close('closed');
        break;
      case 'endless':
      case 'unclear':
        if (quiet >= QUIET_MS && connection.isWritten) end();
        else if (age > this.ms) connection.close('closed');
        break;
      default:
        if (age > this.ms) connection.close('closed');
    }
  }
}
