import { LIMITS } from '../limits.js';
import { MAX_FRAGMENTS } from './frames.js';

interface Incomplete {
  readonly flow: number;
  readonly since: number;
  /** By index; undefined until the fragment arrives. */
  readonly pieces: (Buffer | undefined)[];
  missing: number;
  bytes: number;
}

export interface ReassemblyBounds {
  readonly maxBytes: number;
  readonly maxPerFlow: number;
  readonly maxMs: number;
}

const BOUNDS: ReassemblyBounds = {
  maxBytes: LIMITS.maxReassemblyBytes,
  maxPerFlow: LIMITS.maxReassembliesPerFlow,
  maxMs: LIMITS.reassemblyMs,
};

/** Datagram ids wrap here. Far fewer are in transit in one flow. */
export const DATAGRAM_IDS = 2 ** 16;

/**
 * Reassembles datagrams from fragments. Limited in bytes, in number per flow and in time. Over a limit it drops the oldest
 * first.
 */
export class Reassembly {
  readonly #bounds: ReassemblyBounds;
  readonly #onLost: (datagrams: number) => void;
  /** In order of their first fragment, and so of expiry. */
  readonly #partials = new Map<number, Incomplete>();
  readonly #perFlow = new Map<number, number>();
  #bytes = 0;

  constructor(onLost: (datagrams: number) => void, bounds: ReassemblyBounds = BOUNDS) {
    this.#bounds = bounds;
    this.#onLost = onLost;
  }

  /** Number of incomplete datagrams. */
  get size(): number {
    return this.#partials.size;
  }

  /** Adds a fragment. Returns the whole datagram if it was the last one. */
  add(
    flow: number,
    datagram: number,
    index: number,
    count: number,
    piece: Buffer,
    now: number,
  ): Buffer | undefined {
    this.expire(now);
    const key = flow * DATAGRAM_IDS + (datagram % DATAGRAM_IDS);
    let partial = this.#partials.get(key);
    if (partial && partial.pieces.length !== count) {
      this.#giveUp(key, partial);
      partial = undefined;
    }
    if (!partial) {
      if (count > MAX_FRAGMENTS) return undefined;
      this.#makeRoom(flow, piece.length);
      partial = { flow, since: now, pieces: Array.from({ length: count }), missing: count, bytes: 0 };
      this.#partials.set(key, partial);
      this.#perFlow.set(flow, (this.#perFlow.get(flow) ?? 0) + 1);
    }
    if (partial.pieces[index]) return undefined;
    // A copy: the fragment is a view of a packet, and would keep the whole packet in memory.
    partial.pieces[index] = Buffer.from(piece);
    partial.missing--;
    partial.bytes += piece.length;
    this.#bytes += piece.length;
    if (partial.missing > 0) {
      this.#makeRoom(undefined, 0);
      return undefined;
    }
    this.#forget(key, partial);
    return partial.bytes > LIMITS.maxDatagramBytes ? this.#lose() : Buffer.concat(partial.pieces as Buffer[]);
  }

  /** Drops datagrams that have waited too long. */
  expire(now: number): void {
    for (const [key, partial] of this.#partials) {
      if (now - partial.since < this.#bounds.maxMs) return;
      this.#giveUp(key, partial);
    }
  }

  #makeRoom(flow: number | undefined, bytes: number): void {
    if (flow !== undefined && (this.#perFlow.get(flow) ?? 0) >= this.#bounds.maxPerFlow) {
      for (const [key, partial] of this.#partials) {
        if (partial.flow !== flow) continue;
        this.#giveUp(key, partial);
        break;
      }
    }
    for (const [key, partial] of this.#partials) {
      if (this.#bytes + bytes <= this.#bounds.maxBytes) return;
      this.#giveUp(key, partial);
    }
  }

  #giveUp(key: number, partial: Incomplete): void {
    this.#forget(key, partial);
    this.#lose();
  }

  #lose(): undefined {
    this.#onLost(1);
    return undefined;
  }

  #forget(key: number, partial: Incomplete): void {
    this.#partials.delete(key);
    this.#bytes -= partial.bytes;
    const left = this.#perFlow.get(partial.flow)! - 1;
    if (left > 0) this.#perFlow.set(partial.flow, left);
    else this.#perFlow.delete(partial.flow);
  }
}
