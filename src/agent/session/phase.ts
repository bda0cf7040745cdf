import type { PortalError } from '../../lib/errors.js';
import type { ErrorSummary, LeaseStatus, Phase } from '../status.js';

/** The phase of a lease: since when, why, and how often it was retried. */
export class PhaseRecord {
  readonly #onChange: () => void;
  #phase: Phase = 'connecting';
  #since = new Date();
  #error: PortalError | undefined;
  #retries = 0;
  /** When the next attempt is due, by the monotonic clock. */
  #nextAt: number | undefined;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get now(): Phase {
    return this.#phase;
  }

  get error(): ErrorSummary | undefined {
    return this.#error && summaryOf(this.#error);
  }

  /** Time until the next attempt. Undefined if it is not known. */
  get nextInMs(): number | undefined {
    return this.#nextAt && Math.max(0, Math.round(this.#nextAt - performance.now()));
  }

  /** The same phase with the same kind of error is not a change and is not reported. */
  set(phase: Phase, error?: PortalError, nextInMs?: number): void {
    const same = this.#phase === phase && this.#error?.code === error?.code;
    this.#phase = phase;
    this.#error = error;
    this.#nextAt = nextInMs && performance.now() + nextInMs;
    if (same) return;
    this.#since = new Date();
    this.#onChange();
  }

  /** Counts a loss, after which the lease must be opened again. */
  countRetry(): void {
    this.#retries++;
  }

  status(): Pick<LeaseStatus, 'phase' | 'since' | 'retries' | 'error' | 'nextInMs'> {
    const { nextInMs } = this;
    return {
      phase: this.#phase,
      since: this.#since.toISOString(),
      retries: this.#retries,
      ...(this.#error && { error: summaryOf(this.#error) }),
      ...(nextInMs !== undefined && { nextInMs }),
    };
  }
}

/** An error as in events and `status`. */
export function summaryOf({ code, message, hint }: PortalError): ErrorSummary {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}
