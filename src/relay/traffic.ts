import type { Spliced } from '../net/spliced.js';

/** Bytes of the visitors of one lease. Reads the counters of splices on demand, so forwarding costs no more. */
export class LeaseTraffic {
  /** Bytes of a UDP lease. */
  readonly datagrams = { toAgentBytes: 0, toVisitorBytes: 0 };
  /** Open flows of a UDP lease. */
  flows = 0;
  readonly #joined = new Set<Spliced>();
  #ended = { in: 0, out: 0 };

  /** Open connections and flows. */
  get visitors(): number {
    return this.#joined.size + this.flows;
  }

  began(visitor: Spliced): void {
    this.#joined.add(visitor);
  }

  ended(visitor: Spliced): void {
    if (!this.#joined.delete(visitor)) return;
    this.#ended.in += visitor.bytesToB;
    this.#ended.out += visitor.bytesToA;
  }

  /** Disconnects all visitors. */
  cut(): void {
    for (const visitor of this.#joined) visitor.close('closed');
  }

  read(): { visitors: number; bytesIn: number; bytesOut: number } {
    let bytesIn = this.#ended.in + this.datagrams.toAgentBytes;
    let bytesOut = this.#ended.out + this.datagrams.toVisitorBytes;
    for (const { bytesToA, bytesToB } of this.#joined) {
      bytesIn += bytesToB;
      bytesOut += bytesToA;
    }
    return { visitors: this.visitors, bytesIn, bytesOut };
  }
}
