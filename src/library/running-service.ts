import { PortalError } from '../lib/errors.js';
import type { RunningService } from './api.js';
import { fetchFrom } from './fetch.js';
import { RecordedRequests } from './recorded.js';
import { stateOf, urlsOf } from './service-state.js';
import type { Session } from './session.js';

const REQUEST_MS = 5_000;

/** The services of a session as a program sees them: one object for each name, which stays valid while the configuration changes. */
export class RunningServices {
  readonly #session: Session;
  readonly #known = new Map<string, RunningService>();

  constructor(session: Session) {
    this.#session = session;
    // Addresses stay known after the end.
    session.events.on('lease', ({ service }) => void this.#known.get(service)?.urls);
  }

  /** Those of the running configuration. */
  get all(): Record<string, RunningService> {
    return Object.fromEntries(
      this.#session.desired.services.map(({ service }) => [service, this.of(service)]),
    );
  }

  of(name: string): RunningService {
    const known = this.#known.get(name) ?? runningService(this.#session, name);
    this.#known.set(name, known);
    return known;
  }
}

function runningService(session: Session, name: string): RunningService {
  const { runner, closing } = session;
  const recorded = new RecordedRequests(runner.recorders!, name);
  let known: readonly string[] = [];
  const urls = (): readonly string[] => {
    const now = urlsOf(runner, name);
    if (now.length > 0) known = now;
    return known;
  };
  const url = (): string => {
    const [first] = urls();
    if (first !== undefined) return first;
    throw new PortalError('usage', `"${name}" has no URL yet`, { hint: 'Wait until the service is ready.' });
  };
  const inspected = (): RecordedRequests => {
    if (session.desired.services.find(({ service }) => service === name)?.inspect) return recorded;
    throw new PortalError('usage', `the requests of "${name}" are not recorded`, {
      hint: 'Set `inspect: true` on the service.',
    });
  };
  return {
    name,
    get url() {
      return url();
    },
    get urls() {
      return urls();
    },
    get state() {
      return closing.aborted ? 'closed' : stateOf(runner, name).state;
    },
    get error() {
      return closing.aborted ? undefined : stateOf(runner, name).error;
    },
    fetch: async (path, init) => fetchFrom(url(), session.caFile, path, init),
    requests: () => inspected().all(),
    waitForRequest: async (match, { timeoutMs = REQUEST_MS, signal } = {}) =>
      inspected().waitFor(match, {
        timeoutMs,
        signal: signal ? AbortSignal.any([signal, closing]) : closing,
      }),
  };
}
