import { PortalError } from '../../lib/errors.js';
import { errorOf } from '../failure.js';
import { LeaseBoard } from '../../library/lease-board.js';
import type { Expected, TimedEvent } from '../reporters/reporter.js';

/** Decides from an agent's events whether its start succeeded. */
export class StartWatch {
  readonly #forReady: boolean;
  #board = new LeaseBoard([]);
  /** The last error of each service. */
  readonly #errors = new Map<string, PortalError>();
  #firstPassDone = false;

  constructor(options: { forReady: boolean }) {
    this.#forReady = options.forReady;
  }

  begin(expected: readonly Expected[]): void {
    this.#board = new LeaseBoard(expected);
  }

  note(event: TimedEvent): 'succeeded' | 'undecided' | PortalError {
    if (event.event === 'ready') return 'succeeded';
    this.#board.note(event);
    if (event.event === 'applied') this.#firstPassDone = true;
    if ((event.event === 'lease' || event.event === 'unplaced') && event.error)
      this.#errors.set(event.service, errorOf(event.error));
    // Wait for the first attempt of all services. If all fail, the agent reports it and exits.
    if (!this.#firstPassDone || this.#board.allFailed()) return 'undecided';
    // A file without services never emits `ready`.
    if (!this.#forReady || this.#board.isEmpty) return 'succeeded';
    const [failed] = this.#board.services('failed');
    return failed === undefined ? 'undecided' : this.#failure(failed);
  }

  /** The error of a start that timed out after `timeoutMs`. */
  late(timeoutMs: number): PortalError {
    const pending = this.#board.services('pending').map((service) => {
      const why = this.#errors.get(service)?.message;
      return why === undefined ? service : `${service} (${why})`;
    });
    const what = pending.length > 0 ? `not ready: ${pending.join(', ')}` : 'the agent did not start';
    return new PortalError('timeout', `${what}, after ${timeoutMs / 1000} s; Portal stopped the agent`, {
      hint: 'Without --wait, the agent retries. Use --timeout to wait longer.',
    });
  }

  #failure(service: string): PortalError {
    const { code, message, hint } = this.#errors.get(service) ?? new PortalError('internal', 'failed');
    return new PortalError(
      code,
      `${service}: ${message}${message.endsWith('.') ? ' ' : '. '}Portal stopped the agent`,
      hint === undefined ? {} : { hint },
    );
  }
}
