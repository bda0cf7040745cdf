import type { Desired } from '../config/desired.js';
import { loadIdentity } from '../identity/file.js';
import { PortalError, asPortalError } from '../lib/errors.js';
import { silent } from '../lib/logger.js';
import { portalPaths } from '../lib/paths.js';
import { deferred, within } from '../lib/wait.js';
import { formatTarget, parseTarget } from '../net/target.js';
import type { PortalEvent, ServiceAddresses } from '../reconcile/events.js';
import type { Runner } from '../reconcile/runner.js';
import { openAgent, timed } from './agent.js';
import type { ExposeOptions, RunOptions, Tunnel } from './api.js';
import { nameFor } from './derived-name.js';
import { loadDocument } from './document.js';
import { fetchFrom } from './fetch.js';
import { RecordedRequests } from './recorded.js';

const OPEN_MS = 30_000;
const DRAIN_MS = 1_000;
const REQUEST_MS = 5_000;

/** What a program inherits from its process. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** Throws `usage` for options that portal.yaml would reject, and the error of the service if it cannot open. */
export async function exposeFrom(
  { env, cwd }: Surroundings,
  target: number | string,
  { name, ...settings }: ExposeOptions,
  { relays, home, signal, timeoutMs = OPEN_MS, onEvent }: RunOptions,
): Promise<Tunnel> {
  signal?.throwIfAborted();
  const paths = portalPaths(home === undefined ? env : { ...env, PORTAL_HOME: home });
  // Reports errors of the options before an identity is created.
  await desiredOf('service', target, settings, relays, { env, cwd });
  const { address } = await loadIdentity(paths.identityFile, { create: true });
  const label = name ?? nameFor(address, formatTarget(parseTarget(target)));
  const desired = await desiredOf(label, target, settings, relays, { env, cwd });
  const opening = new Opening(label);
  const agent = await openAgent({
    surroundings: { env, paths },
    desired,
    // Requests stay in memory, and there is no page: the program asks for them.
    ...(settings.inspect !== undefined && settings.inspect !== false && { inspector: { port: 0 } }),
    warn: () => undefined,
    emit: (event) => {
      opening.note(event);
      onEvent?.({ ...timed(event) });
    },
    log: silent,
  });
  const { runner } = agent;
  try {
    await agent.begin();
    const applied = runner.apply(desired).catch((error: unknown) => opening.fail(error));
    const addresses = await within(opening.address, timeoutMs, 'the tunnel to open', signal);
    await applied;
    return tunnelOf(runner, addresses, agent.caFile, signal);
  } catch (error) {
    await runner.stop({ reason: asPortalError(error).code, drainMs: 0 });
    throw signal?.aborted ? signal.reason : error;
  }
}

/** Waits for the first address of a service. */
class Opening {
  readonly #service: string;
  readonly #address = deferred<ServiceAddresses>();

  constructor(service: string) {
    this.#service = service;
  }

  get address(): Promise<ServiceAddresses> {
    return this.#address.promise;
  }

  fail(error: unknown): void {
    this.#address.reject(error);
  }

  note(event: PortalEvent): void {
    if (event.event === 'ready') {
      const found = event.services[this.#service];
      if (found) this.#address.resolve(found);
    }
    if (event.event !== 'lease' || event.phase !== 'failed' || !event.error) return;
    const { code, message, hint } = event.error;
    this.fail(new PortalError(code as PortalError['code'], message, hint === undefined ? {} : { hint }));
  }
}

function tunnelOf(
  runner: Runner,
  { urls, tcp, udp }: ServiceAddresses,
  caFile: string | undefined,
  signal: AbortSignal | undefined,
): Tunnel {
  const url = urls[0] ?? (tcp[0] === undefined ? `udp://${udp[0]}` : `tcp://${tcp[0]}`);
  const closed = new AbortController();
  const recorded = runner.recorders && new RecordedRequests(runner.recorders);
  const inspected = (): RecordedRequests => {
    if (recorded) return recorded;
    throw new PortalError('usage', 'the requests of this tunnel are not recorded', {
      hint: 'Call expose with `{ inspect: true }`.',
    });
  };
  const close = ({ drainMs = DRAIN_MS } = {}): Promise<void> => {
    closed.abort(new PortalError('aborted', 'the tunnel was closed'));
    return runner.stop({ reason: 'closed', drainMs });
  };
  signal?.addEventListener('abort', () => void close(), { once: true, signal: closed.signal });
  return {
    url,
    caFile,
    fetch: (path, init) => fetchFrom(url, caFile, path, init),
    requests: () => inspected().all(),
    waitForRequest: (match, { timeoutMs = REQUEST_MS, signal: own } = {}) =>
      inspected().waitFor(match, {
        timeoutMs,
        signal: own ? AbortSignal.any([own, closed.signal]) : closed.signal,
      }),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** A configuration of one service. */
function desiredOf(
  name: string,
  target: number | string,
  settings: Omit<ExposeOptions, 'name'>,
  relays: readonly string[] | undefined,
  surroundings: Surroundings,
): Promise<Desired> {
  const document = {
    version: 1,
    relays: relays ? { urls: relays } : { embedded: { port: 0 } },
    services: { [name]: { ...settings, name, target } },
  };
  return loadDocument(document, surroundings);
}
