import { PortalError } from '../lib/errors.js';
import type { RunningService } from './api.js';
import { fetchFrom } from './fetch.js';
import { RecordedRequests } from './recorded.js';
import { stateOf, urlsOf } from './service-state.js';
import type { Session } from './session.js';

const REQUEST_MS = 5_000;

/** A service as a program sees it. One object for each name, which stays valid while the configuration changes. */
export function runningService(session: Session, name: string): RunningService {
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
