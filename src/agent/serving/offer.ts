import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../lib/logger.js';
import { Decision } from '../decision.js';
import type { KnownTargets } from '../known-targets.js';
import { TargetProtocols, type OnReached, type Speaks } from '../speaks.js';
import { servedMode, targetsOf, type ServedAs, type ServiceSpec } from '../spec.js';
import { upstreamOf } from '../upstream.js';

const BOTH = ['h2', 'http/1.1'] as const;
/** A target that takes HTTP/2 alone gets nobody else: who does not speak it is told in the handshake. */
const OFFERS: Readonly<Partial<Record<Speaks, readonly string[]>>> = { h2: ['h2'], both: BOTH };
const H1_ALONE = ['http/1.1'] as const;

/** What visitors are offered in the TLS handshake (ALPN): what the service's settings say, or its target speaks. */
export class AlpnOffer {
  /** What the service's targets speak: for visitors here, and for requests in mode http. */
  readonly protocols: TargetProtocols;
  /** How a service of mode auto is served. */
  readonly decision: Decision;
  #spec: ServiceSpec;

  constructor(spec: ServiceSpec, log: Logger, known: KnownTargets, onReached: OnReached) {
    this.#spec = spec;
    const watch = { isOpen: () => this.#isOpen, onChange: () => this.decision.note(), onReached };
    this.protocols = new TargetProtocols(() => upstreamOf(this.#spec), log, watch, known);
    this.decision = new Decision(this.protocols, () => this.#spec.target);
    if (this.#isOpen) this.decision.watch();
  }

  /** What visitors are served as now. */
  get servedAs(): ServedAs {
    const mode = servedMode(this.#spec);
    return mode === 'auto' ? this.decision.now : mode;
  }

  update(spec: ServiceSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    const isReachedOtherwise = !isDeepStrictEqual(upstreamOf(before), upstreamOf(spec));
    // It was asked less, or more, than it is to be asked now.
    if (isReachedOtherwise || isOpen(before) !== this.#isOpen) this.protocols.reset();
    this.protocols.keepOnly(targetsOf(spec));
    if (!this.#isOpen) this.decision.stop();
    else if (isReachedOtherwise || !isOpen(before) || !isDeepStrictEqual(before.target, spec.target))
      this.decision.reset();
    void this.settle();
  }

  /** Offered now, best first. */
  get names(): readonly string[] {
    const { alpn, target } = this.#spec;
    if (alpn !== 'auto') return alpn;
    const mode = servedMode(this.#spec);
    if (mode === 'http') return BOTH;
    if (mode === 'auto') return this.decision.isSurelyStream ? H1_ALONE : BOTH;
    return OFFERS[this.protocols.speaks(target) ?? 'h1'] ?? H1_ALONE;
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
    return this.#follows || (this.#isOpen && this.#spec.alpn === 'auto') ? BOTH : this.names;
  }

  /** Finds out what the targets speak, where that matters. Bounded. */
  async settle(): Promise<void> {
    // Of mode auto visitors are served before it is known, and `decision` asks.
    if (this.#isOpen || (!this.#follows && servedMode(this.#spec) !== 'http')) return;
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
    if (this.#follows || this.decision.isSurelyStream) void this.protocols.doubt(this.#spec.target);
  }

  /** Nothing is decided any more. Requests may still be under way. */
  stop(): void {
    this.decision.close();
  }

  close(): void {
    this.stop();
    this.protocols.close();
  }

  /** The target decides how its visitors are served. */
  get #isOpen(): boolean {
    return isOpen(this.#spec);
  }

  get #follows(): boolean {
    return servedMode(this.#spec) === 'stream' && this.#spec.alpn === 'auto';
  }
}

const isOpen = (spec: ServiceSpec): boolean => servedMode(spec) === 'auto';
