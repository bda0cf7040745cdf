import type { Desired } from '../config/desired.js';
import { formatTarget, parseTarget } from '../net/target/target.js';
import type { ExposeOptions, RunOptions, Tunnel } from './api.js';
import { ownName } from './derived-name.js';
import { loadDocument } from './document.js';
import { RunningServices } from './running-service.js';
import { Session } from './session.js';
import { surroundingsOf, type ProgramProcess, type Surroundings } from './surroundings.js';

/** Throws `usage` for options that portal.yaml would reject, and the error of the service if it cannot open. */
export async function exposeFrom(
  process: ProgramProcess,
  target: number | string,
  { name, ...settings }: ExposeOptions,
  run: RunOptions,
): Promise<Tunnel> {
  const { relays, home, signal, timeoutMs } = run;
  signal?.throwIfAborted();
  const surroundings = surroundingsOf(process, home);
  const desiredAs = (label: string): Promise<Desired> =>
    desiredOf(label, { ...settings, name: label, target }, relays, surroundings);
  // Reports errors of the options before an identity is created.
  const checked = await desiredAs(name ?? 'service');
  const { label, made } =
    name === undefined
      ? await ownName(surroundings, formatTarget(parseTarget(target)))
      : { label: name, made: [] };
  const desired = label === name ? checked : await desiredAs(label);
  const session = await Session.open({ surroundings, desired, made, run });
  try {
    await session.ready({ ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) });
    return tunnelOf(session, label);
  } catch (error) {
    await session.close({ drainMs: 0 });
    throw signal?.aborted ? signal.reason : error;
  }
}

function tunnelOf(session: Session, label: string): Tunnel {
  const service = new RunningServices(session).of(label);
  return {
    get url() {
      return service.url;
    },
    get urls() {
      return service.urls;
    },
    events: session.events,
    caFile: session.caFile,
    fetch: (path, init) => service.fetch(path, init),
    requests: () => service.requests(),
    waitForRequest: (match, options) => service.waitForRequest(match, options),
    close: (options) => session.close(options),
    [Symbol.asyncDispose]: () => session.close(),
  };
}

/** A configuration of one service. */
function desiredOf(
  name: string,
  service: Record<string, unknown>,
  relays: readonly string[] | undefined,
  surroundings: Surroundings,
): Promise<Desired> {
  const document = {
    version: 1,
    relays: relays ? { urls: relays } : { embedded: { port: 0 } },
    services: { [name]: service },
  };
  return loadDocument(document, surroundings);
}
