import { LIMITS } from '../../protocol/limits.js';

const MIN_SPARE = 2;
/** Connections with tickets of other nodes that are kept beyond the target. They replace ones that this pool would request. */
const MAX_SURPLUS = 16;
/** Each connection arrives at a node at random. */
const PATIENCE = 32;
/** A pool is refilled in parts of its size, so that a large one needs few messages to the agent. */
const REFILLS = 8;
/** Connections in a row at other nodes after which visitors are forwarded instead, where that is possible. */
const STARVED = 3;
/**
 * The same, after which each visitor is forwarded at once. One connection at a time is still requested, to notice when they
 * arrive here again. With ten nodes and random arrivals, so many miss one of them in 3 of 100 cases.
 */
const LOST = 32;
/** Connections requested for each waiting visitor, if the previous ones arrived at other nodes. */
const MAX_TRIES = 16;

export interface Demand {
  /** Visitors that wait for a connection. */
  readonly waiting: number;
  /** Connections that are idle or requested. */
  readonly ahead: number;
  /** Whether only visitors get connections now. */
  readonly isPaused: boolean;
}

/**
 * Owns how many connections of one carrier a pool requests. The relay sees the demand, so it alone decides the size: two at
 * first, twice as many when a visitor finds none, and half when that stops.
 */
export class PoolSize {
  /** Whether visitors can be forwarded to the nodes where connections arrive. */
  readonly #canForward: boolean;
  /** Target size of the idle pool, beyond the connections that visitors wait for. */
  #spare = MIN_SPARE;
  /** Set after `#spare` grew, until a connection requested since then arrives: before that nobody knows whether it is enough. */
  #hasGrown = false;
  /** Connections in a row that arrived at another node instead of this one. */
  #missed = 0;
  /** How many more may do so until the pool pauses. Only visitors renew it. */
  #patience = PATIENCE;

  constructor({ canForward }: { readonly canForward: boolean }) {
    this.#canForward = canForward;
  }

  /** The idle connections to keep when one with a ticket of another node arrives. */
  get mostWithStrays(): number {
    return this.#spare + Math.min(MAX_SURPLUS, 2 * this.#spare);
  }

  /** Whether visitors that wait should be forwarded, because their connections arrive at other nodes. */
  get isStarved(): boolean {
    return this.#missed >= STARVED;
  }

  /** Whether each visitor is forwarded at once, for the same reason. */
  get isLost(): boolean {
    return this.#canForward && this.#missed >= LOST;
  }

  /** Call when visitors came. */
  visited(): void {
    this.#patience = PATIENCE;
  }

  /** Call when a visitor found no idle connection. */
  grow(): void {
    if (!this.#hasGrown) this.#spare = Math.min(this.#spare * 2, LIMITS.maxIdleDataConnections);
    this.#hasGrown = true;
  }

  /** Call when no visitor had to wait for a while. */
  shrink(): void {
    this.#spare = Math.max(MIN_SPARE, Math.floor(this.#spare / 2));
  }

  /** Call when a connection arrived with a ticket of this pool. */
  arrived(): void {
    this.#missed = 0;
  }

  /** Call when the pool took a connection. */
  took(): void {
    this.#hasGrown = false;
  }

  /** Call when a connection for a ticket of this pool arrived at another node. Returns whether the pool should pause. */
  missed(): boolean {
    this.#missed++;
    return this.#patience-- <= 0;
  }

  /** Call when another node did not take a visitor, so that visitors need connections here. */
  forwardFailed(): void {
    this.#missed = Math.min(this.#missed, STARVED);
  }

  /** The number of connections to request now. */
  wanted({ waiting, ahead, isPaused }: Demand): number {
    const tries = Math.min(MAX_TRIES, 1 + Math.floor(this.#missed / Math.max(1, waiting)));
    const needed = this.isLost ? Math.min(waiting, 1) : waiting * tries + (isPaused ? 0 : this.#spare);
    const want = needed - ahead;
    return waiting === 0 && want < this.#spare / REFILLS ? 0 : Math.max(0, want);
  }
}
