import type { PortalError } from '../lib/errors.js';
import type { ErrorSummary, LeaseStatus, Phase } from './status.js';

/** The phase of a lease: since when, why, and how often it was retried. */
export class PhaseRecord {
  readonly #onChange: () => void;
  #phase: Phase = 'connecting';
  #since = new Date();
  #error: PortalError | undefined;
  #retries = 0;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get now(): Phase {
    return this.#phase;
  }

  get error(): ErrorSummary | undefined {
    return this.#error && summaryOf(this.#error);
  }

  /** The same phase with the same kind of error is not a change and is not reported. */
  set(phase: Phase, error?: PortalError): void {
    const same = this.#phase === phase && this.#error?.code === error?.code;
    this.#phase = phase;
    this.#error = error;
    if (same) return;
    this.#since = new Date();
    this.#onChange();
  }

  /** Counts a loss, after which the lease must be opened again. */
  countRetry(): void {
    this.#retries++;
  }

  status(): Pick<LeaseStatus, 'phase' | 'since' | 'retries' | 'error'> {
    return {
      phase: this.#phase,
      since: this.#since.toISOString(),
      retries: this.#retries,
      ...(this.#error && { error: summaryOf(this.#error) }),
    };
  }
}

/** An error as in events and `status`. */
export function summaryOf({ code, message, hint }: PortalError): ErrorSummary {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}
