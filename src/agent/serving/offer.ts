import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../lib/logger.js';
import { Decision } from '../target/decision.js';
import { requiredAlpn } from '../access/kinds.js';
import type { KnownTargets } from '../target/known-targets.js';
import { TargetProtocols, type OnReached, type Speaks } from '../target/target-protocols.js';
import { servedMode, targetsOf, type ServedAs, type ServiceSpec } from '../spec.js';
import { upstreamOf } from '../target/upstream.js';

const BOTH = ['h2', 'http/1.1'] as const;
/** An HTTP/2-only target gets no other visitors: their handshake fails. */
const OFFERS: Readonly<Partial<Record<Speaks, readonly string[]>>> = { h2: ['h2'], both: BOTH };
const H1_ALONE = ['http/1.1'] as const;

/** The ALPN offer to visitors, from the service's settings or the target's protocols. */
export class AlpnOffer {
  /** The protocols of the service's targets: for the offer here, and for requests in mode http. */
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

  /** The current protocol for visitors. */
  get servedAs(): ServedAs {
    const mode = servedMode(this.#spec);
    return mode === 'auto' ? this.decision.now : mode;
  }

  update(spec: ServiceSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    const isReachedOtherwise = !isDeepStrictEqual(upstreamOf(before), upstreamOf(spec));
    // The probes depend on these settings.
    if (isReachedOtherwise || isOpen(before) !== this.#isOpen) this.protocols.reset();
    this.protocols.keepOnly(targetsOf(spec));
    if (!this.#isOpen) this.decision.stop();
    else if (isReachedOtherwise || !isOpen(before) || !isDeepStrictEqual(before.target, spec.target))
      this.decision.reset();
    void this.settle();
  }

  /** The current offer, best first. */
  get names(): readonly string[] {
    const { alpn, target } = this.#spec;
    const required = requiredAlpn(this.#spec.access);
    // The others get a page.
    if (required !== undefined) return [required, ...BOTH];
    if (alpn !== 'auto') return alpn;
    const mode = servedMode(this.#spec);
    if (mode === 'http') return BOTH;
    if (mode === 'auto') return this.decision.isKnownStream ? H1_ALONE : BOTH;
    return OFFERS[this.protocols.speaks(target) ?? 'h1'] ?? H1_ALONE;
  }

  /**
   * The protocol to speak with a visitor that offers `theirs`. Our order counts, and HTTP/1.1 implies HTTP/1.0. Undefined if
   * there is no common protocol.
   */
  choose(theirs: readonly string[]): string | undefined {
    const ours = this.names;
    const chosen = ours.find((name) => theirs.includes(name));
    if (chosen === undefined && ours.includes('http/1.1') && theirs.includes('http/1.0')) return 'http/1.0';
    return chosen;
  }

  /** One of these will be in the offer, whatever protocol the target uses. */
  get possibleNames(): readonly string[] {
    if (requiredAlpn(this.#spec.access) !== undefined) return BOTH;
    return this.#follows || (this.#isOpen && this.#spec.alpn === 'auto') ? BOTH : this.names;
  }

  /** Detects the protocols of the targets, if they matter. Has a timeout. */
  async settle(): Promise<void> {
    // In mode auto, visitors are served before the protocol is known, and `decision` probes.
    if (this.#isOpen || (!this.#follows && servedMode(this.#spec) !== 'http')) return;
    await Promise.all(targetsOf(this.#spec).map((target) => this.protocols.detect(target)));
  }

  /** Calls `then` once the offer is known: nearly always immediately, otherwise after a wait with a timeout. */
  whenKnown(then: () => void): void {
    const { target } = this.#spec;
    if (this.#follows && this.protocols.mustProbe(target)) void this.protocols.detect(target).then(then);
    else then();
  }

  /** A visitor offered none of the protocols. */
  noCommonProtocol(): void {
    if (this.#follows || this.decision.isKnownStream) void this.protocols.recheck(this.#spec.target);
  }

  /** Stops deciding. Requests may still be in progress. */
  stop(): void {
    this.decision.close();
  }

  close(): void {
    this.stop();
    this.protocols.close();
  }

  /** Whether the target decides how its visitors are served. */
  get #isOpen(): boolean {
    return isOpen(this.#spec);
  }

  get #follows(): boolean {
    const { alpn, access } = this.#spec;
    return servedMode(this.#spec) === 'stream' && alpn === 'auto' && requiredAlpn(access) === undefined;
  }
}

const isOpen = (spec: ServiceSpec): boolean => servedMode(spec) === 'auto';
