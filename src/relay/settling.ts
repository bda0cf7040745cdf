import { activeNow } from '../lib/stalls.js';
import { until } from '../lib/wait.js';
import { acceptWaiting } from './public-port/listen.js';

/** Visitors that have arrived, while their relay shuts down. */
export interface Arrived {
  /** How many connections this node has accepted so far. */
  accepted(): number;
  /** How many connections are unrouted, without a data connection, or about to be forwarded here. */
  waiting(): number;
  /** Whether a shutdown still waits for one of them. It does not wait for a connection that says nothing for long. */
  isSettled(): boolean;
}

export interface SettlingOptions {
  readonly arrived: Arrived;
  /** How long to wait while nothing changes. */
  readonly quietMs: number;
  /** Undefined: this node shuts down alone. */
  readonly inStep: (() => Promise<void>) | undefined;
  /** Ends every wait. */
  readonly signal: AbortSignal | undefined;
}

/** From the first wait on, with the waits for other nodes. A relay that always has visitors waiting must still end. */
const MAX_MS = 5_000;
/** After that, for visitors whom another node forwarded here meanwhile. */
const LATE_MS = 200;
/** For one look: a flood must not keep this process from everything else. */
const ACCEPT_MS = 500;
/** How often a visitor may be forwarded: to the node with the session, and from there to where a data connection arrived. */
const MAX_FORWARDS = 2;

/** Waits until the visitors that have arrived are served, while a relay shuts down. */
export class Settling {
  readonly #options: SettlingOptions;
  /** In `activeNow`: visitors whom a frozen relay could not serve meanwhile get their time, too. */
  readonly #endsAt = activeNow() + MAX_MS;
  /** How many waited when nothing changed any longer. */
  #stuck: number | undefined;

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /**
   * Until each visitor here has a data connection, or another node, and no connection waits to be accepted. A caller that then
   * closes the ports must do so in the same turn of the event loop.
   */
  async here(): Promise<void> {
    const { arrived, signal } = this.#options;
    const endsAt = Math.max(this.#endsAt, activeNow() + LATE_MS);
    for (;;) {
      const leftMs = endsAt - activeNow();
      await acceptWaiting(() => arrived.accepted(), Math.min(ACCEPT_MS, Math.max(LATE_MS, leftMs)));
      const isStuck = arrived.waiting() === this.#stuck;
      if (arrived.isSettled() || isStuck || leftMs <= 0 || signal?.aborted) return;
      await this.#untilSettled(leftMs);
    }
  }

  /** The same, at every node that shuts down together with this one. Visitors forwarded from one to another are served, too. */
  async everywhere(): Promise<void> {
    await this.here();
    if (!this.#options.inStep) return;
    for (let forwards = 0; forwards < MAX_FORWARDS; forwards++) {
      await this.#options.inStep();
      await this.here();
    }
    await this.#options.inStep();
  }

  async #untilSettled(leftMs: number): Promise<void> {
    const { arrived, quietMs, signal } = this.#options;
    let waiting = arrived.waiting();
    let changedAt = 0;
    const waitedMs = await until((ms) => {
      if (arrived.waiting() !== waiting) [waiting, changedAt] = [arrived.waiting(), ms];
      return arrived.isSettled() || ms - changedAt >= quietMs || signal?.aborted === true;
    }, leftMs);
    if (waitedMs - changedAt >= quietMs) this.#stuck = waiting;
  }
}
