import type { Spliced } from '../../net/splice/spliced.js';
import { LIMITS } from '../../protocol/limits.js';

/** Above this average, a visit uses up its data connection, which costs less without frames. */
const LONG_BYTES = LIMITS.maxFramedBytes;
/** A longer visit counts as this long, so that one does not decide about many. */
const MAX_COUNTED_BYTES = 3 * LONG_BYTES;
/** The part of the latest visit in the average. */
const WEIGHT = 1 / 4;

/** Bytes of the visitors of one lease. Reads the counters of splices on demand, so forwarding costs no more. */
export class LeaseTraffic {
  /** Bytes of a UDP lease. */
  readonly datagrams = { toAgentBytes: 0, toVisitorBytes: 0 };
  /** Open flows of a UDP lease. */
  flows = 0;
  readonly #joined = new Set<Spliced>();
  #ended = { in: 0, out: 0 };
  /** Average of the bytes of a visit, both directions together; undefined before the first. */
  #averageBytes: number | undefined;

  /** Whether the next visit will probably be long, from the recent ones. */
  get expectsLongVisit(): boolean {
    return this.#averageBytes !== undefined && this.#averageBytes > LONG_BYTES;
  }

  /** Open connections and flows, of all visitors that this node serves. */
  get visitors(): number {
    return this.#joined.size + this.flows;
  }

  began(visitor: Spliced): void {
    this.#joined.add(visitor);
  }

  ended(visitor: Spliced): void {
    if (!this.#joined.delete(visitor)) return;
    if (!visitor.isCountedElsewhere) {
      this.#ended.in += visitor.bytesToB;
      this.#ended.out += visitor.bytesToA;
    }
    const bytes = Math.min(MAX_COUNTED_BYTES, visitor.bytesToA + visitor.bytesToB);
    const average = this.#averageBytes ?? bytes;
    this.#averageBytes = average + (bytes - average) * WEIGHT;
  }

  /** Call for a visitor that has no response yet, and that another connection serves. */
  unanswered(visitor: Spliced): void {
    this.#joined.delete(visitor);
  }

  /** Disconnects all visitors. */
  cut(): void {
    for (const visitor of this.#joined) visitor.close('closed');
  }

  /** What the lease's visitors transferred, each counted at the node where it arrived. */
  read(): { visitors: number; bytesIn: number; bytesOut: number } {
    let bytesIn = this.#ended.in + this.datagrams.toAgentBytes;
    let bytesOut = this.#ended.out + this.datagrams.toVisitorBytes;
    let visitors = this.flows;
    for (const visitor of this.#joined) {
      if (visitor.isCountedElsewhere) continue;
      visitors++;
      bytesIn += visitor.bytesToB;
      bytesOut += visitor.bytesToA;
    }
    return { visitors, bytesIn, bytesOut };
  }
}
