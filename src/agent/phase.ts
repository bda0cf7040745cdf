import type { PortalError } from '../lib/errors.js';
import type { ErrorSummary, LeaseStatus, Phase } from './status.js';

/** The phase a lease is in: since when, why, and how often it had to come back. */
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

  /** The same phase with the same kind of error is no change, and nobody is told. */
  set(phase: Phase, error?: PortalError): void {
    const same = this.#phase === phase && this.#error?.code === error?.code;
    this.#phase = phase;
    this.#error = error;
    if (same) return;
    this.#since = new Date();
    this.#onChange();
  }

  /** It was lost, and will have to come back. */
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

/** An error as events and `status` carry it. */
export function summaryOf({ code, message, hint }: PortalError): ErrorSummary {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}
