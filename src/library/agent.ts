import { usesLocalCa } from '../certificates/spec.js';
import { hostname } from 'node:os';
import { ShareStore } from '../agent/access/share/store.js';
import { kindOf, type ServiceSpec } from '../agent/spec.js';
import { openLocalCa } from '../certificates/local-ca.js';
import type { Desired } from '../config/desired.js';
import { lockFileOf, RelayLock } from '../config/files/lock.js';
import { loadIdentity } from '../identity/file.js';
import type { Identity } from '../identity/identity.js';
import { confinedPath } from '../lib/confined.js';
import { asPortalError } from '../lib/errors.js';
import { packageVersion } from '../lib/package-file.js';
import { proxyIn } from '../net/proxy/environment.js';
import type { PortalEvent } from '../reconcile/events.js';
import { caCreated, identityCreated, lockNotice, type Notice } from '../reconcile/notices.js';
import { createRunner, type Runner, type RunnerOptions } from '../reconcile/runner.js';
import { checkProxies } from './check-proxies.js';
import { embeddedRelays } from './embedded.js';
import type { Surroundings } from './surroundings.js';

/** An agent in this process, with Portal's files and an embedded relay: for the command line and for programs. */

export interface AgentOptions extends Pick<
  RunnerOptions,
  'emit' | 'log' | 'inspector' | 'accessLog' | 'environment' | 'portHolder'
> {
  readonly surroundings: Pick<Surroundings, 'env' | 'paths'>;
  /** The configuration to start with. */
  readonly desired: Desired;
  /** Reject relays that are not in portal.lock instead of adding them. */
  readonly frozen?: boolean;
  /** Notices about files that were created before. */
  readonly made?: readonly Notice[];
  readonly warn: (message: string) => void;
}

export interface Agent {
  readonly identity: Identity;
  readonly runner: Runner;
  /** The certificate of the local CA, once `begin` has resolved; undefined if visitors need none. */
  readonly caFile: string | undefined;
  /** Creates what the services need, and reports that the agent starts. Then call `runner.apply`. */
  begin(more?: { readonly metrics?: string }): Promise<void>;
}

/** Opens or creates the identity. Publishes nothing yet. */
export async function openAgent(options: AgentOptions): Promise<Agent> {
  const { desired, surroundings, emit, warn, log } = options;
  const { paths, env } = surroundings;
  checkProxies(desired, env);
  /** Notices that follow the `started` event. */
  const early: Notice[] = [...(options.made ?? [])];
  const identityFile = desired.identityFile ?? paths.identityFile;
  const identity = await loadIdentity(await confinedPath(identityFile), {
    create: true,
    onCreated: ({ address }) => early.push(identityCreated(identityFile, address)),
  });
  const notify = (notice: Notice): void => emit({ event: 'notice', ...notice });
  const runner = createRunner({
    ...options,
    file: desired.file ?? null,
    version: packageVersion(),
    machine: hostname(),
    identity,
    caDir: paths.caDir,
    acmeDir: paths.acmeDir,
    registryDir: paths.registryDir,
    proxyFor: (url) => proxyIn(env, url),
    ...trustOf(options, notify),
    heldDir: paths.heldDir,
    shareStore: new ShareStore(identityFile),
    startEmbedded: embeddedRelays(paths.caDir, {
      log,
      owner: identity.address,
      onCreated: (...made) => notify(caCreated(...made)),
    }),
  });
  let caFile: string | undefined;
  return {
    identity,
    runner,
    get caFile() {
      return caFile;
    },
    begin: async ({ metrics } = {}) => {
      if (desired.services.some(hasLocalCa))
        caFile = (
          await openLocalCa(paths.caDir, { log, onCreated: (...made) => early.push(caCreated(...made)) })
        ).certificateFile;
      emit({
        event: 'started',
        pid: process.pid,
        file: desired.file ?? null,
        ...(caFile !== undefined && { ca: caFile }),
        ...(metrics !== undefined && { metrics }),
      });
      for (const notice of early) notify(notice);
      await runner.sharing!.load().catch((error: unknown) => warn(asPortalError(error).message));
    },
  };
}

/** The lock next to the configuration; none without a file. */
function trustOf(
  { desired: { file: configuration }, frozen = false, warn }: AgentOptions,
  notify: (notice: Notice) => void,
): Pick<RunnerOptions, 'trust'> {
  if (configuration === undefined) return {};
  const file = lockFileOf(configuration);
  const trust = new RelayLock({
    file,
    frozen,
    onAdded: (relay, isNew) => notify(lockNotice(file, relay, isNew)),
    onUnwritable: ({ message }) =>
      warn(`${message}; this agent forgets the keys of new relays when it stops`),
  });
  return { trust };
}

/** Whether visitors get a certificate of the local CA. In modes tcp and udp Portal uses none. */
export const hasLocalCa = (spec: ServiceSpec): boolean =>
  kindOf(spec.mode) === 'tls' && usesLocalCa(spec.tls);

/** The environment of the services' commands. Permissions are for this agent, not for others that a command starts. */
export function commandEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { PORTAL_ALLOW: _, ...rest } = env;
  return rest;
}

/** Adds the time to events. */
export const timed = (event: PortalEvent): PortalEvent & { readonly time: string } => ({
  time: new Date().toISOString(),
  ...event,
});
