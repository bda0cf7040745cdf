import { isDeepStrictEqual } from 'node:util';
import pLimit from 'p-limit';
import { asPortalError, type PortalError } from '../../lib/errors.js';
import { healthOf, type Candidate } from './candidate.js';
import { probe, type ProbeOptions } from './probe.js';
import { SUSPENDED_FACTOR } from './watch.js';

export interface ProberOptions extends Omit<ProbeOptions, 'ms' | 'signal'> {
  readonly candidates: () => ReadonlyMap<string, Candidate>;
  readonly isChosen: (key: string) => boolean;
  /** Records the health of a candidate: with an error, it is down. */
  readonly note: (key: string, error: PortalError | undefined) => void;
  /** Called after each probe. */
  readonly onNews: () => void;
  readonly signal: AbortSignal;
  readonly paces: {
    readonly probeMs: number;
    readonly probePerCandidateMs: number;
    readonly probeTimeoutMs: number;
    readonly responseMs: number;
  };
}

/** Many relays of a list may be down, and slow to time out. */
const AT_A_TIME = 64;

/** Probes every candidate periodically: its descriptor, health and round-trip time. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #limit = pLimit(AT_A_TIME);
  readonly #underway = new Set<string>();

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Starts the probes that are due. */
  tick(now: number): void {
    for (const { relay, nextProbeAt } of this.#options.candidates().values()) {
      if (nextProbeAt > now || this.#underway.has(relay.url)) continue;
      this.#underway.add(relay.url);
      void this.#probe(relay.url).finally(() => this.#underway.delete(relay.url));
    }
  }

  /** Whether one of a few healthy candidates that are not in use responds now. */
  async anotherResponds(): Promise<boolean> {
    const { candidates, isChosen, signal, paces } = this.#options;
    const now = performance.now();
    const others = [...candidates().values()].filter(
      (one) => !isChosen(one.relay.url) && healthOf(one, now) !== 'down',
    );
    const asked = others
      .slice(0, 3)
      .map(({ relay }) => probe(relay, { ...this.#options, ms: paces.responseMs, signal }));
    return Promise.any(asked).then(
      () => true,
      () => false,
    );
  }

  async #probe(key: string): Promise<void> {
    const { candidates, isChosen, note, signal, paces } = this.#options;
    let startedAt = performance.now();
    const relay = candidates().get(key)?.relay;
    if (!relay) return;
    /** The candidate, unless it was replaced meanwhile: a response checked against another CA does not count. */
    const asked = (): Candidate | undefined => {
      const candidate = candidates().get(key);
      return isDeepStrictEqual(candidate?.relay, relay) ? candidate : undefined;
    };
    try {
      const { descriptor, rttMs } = await this.#limit(() => {
        startedAt = performance.now();
        return probe(relay, { ...this.#options, ms: paces.probeTimeoutMs, signal });
      });
      const candidate = asked();
      if (!candidate) return;
      candidate.descriptor = descriptor;
      candidate.rttMs = candidate.rttMs === undefined ? rttMs : candidate.rttMs * 0.7 + rttMs * 0.3;
      // For a relay in use, its session decides.
      if (!isChosen(key)) note(key, undefined);
    } catch (error) {
      const isAway = performance.now() - startedAt > paces.probeTimeoutMs * SUSPENDED_FACTOR;
      if (!signal.aborted && !isAway && !isChosen(key) && asked()) note(key, asPortalError(error));
    } finally {
      const pauseMs = Math.max(paces.probeMs, candidates().size * paces.probePerCandidateMs);
      const candidate = asked();
      if (candidate) candidate.nextProbeAt = performance.now() + pauseMs * (0.7 + Math.random() * 0.6);
    }
    this.#options.onNews();
  }
}
