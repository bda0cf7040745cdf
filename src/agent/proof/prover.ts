import pRetry from 'p-retry';
import { asPortalError, type PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { timedOut } from './not-through.js';
import type { ProbePace } from './probe-pace.js';
import { Proof, WARN_AFTER } from './proof.js';
import { RETRY } from '../session/retry.js';

/** A visit of the agent itself. Resolves with `unproven` if it cannot visit from here. Rejects if it fails. */
export type Visit = () => Promise<void | 'unproven'>;

export interface ProverOptions {
  readonly relay: string;
  readonly pace: ProbePace;
  /** Average interval between two visits. */
  readonly everyMs: number;
  /** Called when the lease becomes proven or unproven. */
  readonly onChange: () => void;
  /** Called when a ready lease is lost. */
  readonly onLost: (failure: PortalError) => void;
}

const NO_VISIT = 'the agent cannot visit the address from here';

/** Visits a lease like a visitor: once before it is ready, and periodically afterwards. */
export class Prover {
  readonly proof = new Proof();
  readonly #options: ProverOptions;
  #log: Logger;
  #next: NodeJS.Timeout | undefined;
  /** The visit of `again` in progress. */
  #visiting: { readonly signal: AbortSignal; readonly done: Promise<void> } | undefined;

  constructor(options: ProverOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  set log(log: Logger) {
    this.#log = log;
  }

  /** The visit before the lease is ready. Resolves if it succeeds or times out. Rejects with any other failure. */
  async first(visit: Visit): Promise<void> {
    try {
      this.#note(await this.#make(visit));
    } catch (error) {
      if (!timedOut(error)) throw error;
      this.#noteTimeout(asPortalError(error));
    }
  }

  /** Visits periodically until `signal` aborts. */
  visitPeriodically(visit: Visit, signal: AbortSignal): void {
    clearTimeout(this.#next);
    const pauseMs = this.proof.pauseMs(this.#options.everyMs);
    this.#next = setTimeout(() => void this.again(visit, signal), pauseMs).unref();
  }

  /** Visits now, and continues periodically. Joins a visit in progress: two at a time would disturb each other at the relay. */
  again(visit: Visit, signal: AbortSignal): Promise<void> {
    if (this.#visiting?.signal === signal) return this.#visiting.done;
    const visiting = { signal, done: this.#again(visit, signal) };
    this.#visiting = visiting;
    return visiting.done.finally(() => {
      if (this.#visiting === visiting) this.#visiting = undefined;
    });
  }

  async #again(visit: Visit, signal: AbortSignal): Promise<void> {
    clearTimeout(this.#next);
    if (signal.aborted) return;
    try {
      // A second visit before a report, because one may fail for a moment. An unproven lease was already reported.
      const outcome = await pRetry(() => this.#make(visit), {
        ...RETRY,
        retries: 1,
        signal,
        shouldRetry: ({ error }) =>
          asPortalError(error).code !== 'intercepted' && !(timedOut(error) && this.proof.unproven),
      });
      if (this.#note(outcome)) this.#options.onChange();
    } catch (error) {
      if (signal.aborted) return;
      const failure = asPortalError(error);
      if (!timedOut(failure)) return this.#options.onLost(failure);
      if (this.#noteTimeout(failure)) this.#options.onChange();
    }
    this.visitPeriodically(visit, signal);
  }

  stop(): void {
    clearTimeout(this.#next);
  }

  #make(visit: Visit): Promise<void | 'unproven'> {
    return this.#options.pace.run(this.#options.relay, visit);
  }

  #note(outcome: void | 'unproven'): boolean {
    return outcome === 'unproven' ? this.proof.impossible(NO_VISIT) : this.proof.succeeded();
  }

  #noteTimeout(failure: PortalError): boolean {
    const isNews = this.proof.timedOut(failure);
    if (this.proof.unproven!.failures === WARN_AFTER)
      this.#log.warn({ reason: failure.message, failures: WARN_AFTER }, 'the lease is open, but unproven');
    return isNews;
  }
}
