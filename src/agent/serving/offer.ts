import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../lib/logger.js';
import { TargetProtocols, type Speaks } from '../speaks.js';
import { servedMode, targetsOf, type ServiceSpec } from '../spec.js';
import { upstreamOf } from '../upstream.js';

const BOTH = ['h2', 'http/1.1'] as const;
/** A target that takes HTTP/2 alone gets nobody else: who does not speak it is told in the handshake. */
const OFFERS: Readonly<Record<Speaks, readonly string[]>> = { h1: ['http/1.1'], h2: ['h2'], both: BOTH };

/** What visitors are offered in the TLS handshake (ALPN): what the service's settings say, or its target speaks. */
export class AlpnOffer {
  /** What the service's targets speak: for visitors here, and for requests in mode http. */
  readonly protocols: TargetProtocols;
  #spec: ServiceSpec;

  constructor(spec: ServiceSpec, log: Logger) {
    this.#spec = spec;
    this.protocols = new TargetProtocols(() => upstreamOf(this.#spec), log);
  }

  update(spec: ServiceSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    if (!isDeepStrictEqual(upstreamOf(before), upstreamOf(spec))) this.protocols.reset();
    this.protocols.keepOnly(targetsOf(spec));
    void this.settle();
  }

  /** Offered now, best first. */
  get names(): readonly string[] {
    const { alpn, target } = this.#spec;
    if (alpn !== 'auto') return alpn;
    return servedMode(this.#spec) === 'http' ? BOTH : OFFERS[this.protocols.speaks(target) ?? 'h1'];
  }

  /**
   * What to speak with a visitor who offers `theirs`: ours is the order, and whoever takes HTTP/1.1 takes HTTP/1.0.
   * Undefined if there is nothing in common.
   */
  choose(theirs: readonly string[]): string | undefined {
    const ours = this.names;
    const chosen = ours.find((name) => theirs.includes(name));
    if (chosen === undefined && ours.includes('http/1.1') && theirs.includes('http/1.0')) return 'http/1.0';
    return chosen;
  }

  /** Of these one will be in the offer, whatever the target turns out to speak. */
  get possibleNames(): readonly string[] {
    return this.#follows ? BOTH : this.names;
  }

  /** Finds out what the targets speak, where that matters. Bounded. */
  async settle(): Promise<void> {
    if (!this.#follows && servedMode(this.#spec) !== 'http') return;
    await Promise.all(targetsOf(this.#spec).map((target) => this.protocols.learn(target)));
  }

  /** Calls `then` once the offer is known: nearly always at once, and at most once in a while after a bounded wait. */
  whenKnown(then: () => void): void {
    const { target } = this.#spec;
    if (this.#follows && this.protocols.mustAsk(target)) void this.protocols.learn(target).then(then);
    else then();
  }

  /** A visitor wanted something else. */
  refused(): void {
    if (this.#follows) this.protocols.doubt(this.#spec.target);
  }

  get #follows(): boolean {
    return servedMode(this.#spec) === 'stream' && this.#spec.alpn === 'auto';
  }
}
