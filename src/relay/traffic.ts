import type { Spliced } from '../net/spliced.js';

/** What the visitors of one lease move: what splices count anyway, read when somebody asks. Passing a byte costs no more. */
export class LeaseTraffic {
  /** Of a UDP lease. */
  readonly datagrams = { toAgentBytes: 0, toVisitorBytes: 0 };
  /** Of a UDP lease: those who speak with it now. */
  flows: { readonly size: number } | undefined;
  readonly #joined = new Set<Spliced>();
  #ended = { in: 0, out: 0 };

  began(visitor: Spliced): void {
    this.#joined.add(visitor);
  }

  ended(visitor: Spliced): void {
    if (!this.#joined.delete(visitor)) return;
    this.#ended.in += visitor.bytesToB;
    this.#ended.out += visitor.bytesToA;
  }

  /** Cuts off who is joined. */
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
    return { visitors: this.#joined.size + (this.flows?.size ?? 0), bytesIn, bytesOut };
  }
}
