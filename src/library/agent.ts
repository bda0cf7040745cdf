import { hostname } from 'node:os';
import type { AccessLog } from '../agent/access-log.js';
import { kindOf, type ServiceSpec } from '../agent/spec.js';
import { ShareStore } from '../agent/access/share/store.js';
import type { Identity } from '../identity/identity.js';
import type { Logger } from '../lib/logger.js';
import { packageVersion } from '../lib/package-file.js';
import type { Paths } from '../lib/paths.js';
import { caCreated, type Notice } from '../reconcile/notices.js';
import { createRunner, type Runner, type RunnerOptions } from '../reconcile/runner.js';
import { embeddedRelays } from './embedded.js';

/** An agent in this process, with Portal's files and an embedded relay: for the command line and for programs. */

export interface AgentOptions extends Pick<
  RunnerOptions,
  'file' | 'emit' | 'log' | 'proxyFor' | 'inspector' | 'trust' | 'environment'
> {
  readonly identity: Identity;
  /** Share links are stored next to it. */
  readonly identityFile: string;
  readonly paths: Paths;
  readonly warn: (message: string) => void;
  readonly log: Logger;
  readonly accessLog?: AccessLog;
}

export function createAgent({ identity, identityFile, paths, ...options }: AgentOptions): Runner {
  const notify = (notice: Notice): void => options.emit({ event: 'notice', ...notice });
  return createRunner({
    ...options,
    version: packageVersion(),
    machine: hostname(),
    identity,
    caDir: paths.caDir,
    acmeDir: paths.acmeDir,
    registryDir: paths.registryDir,
    shareStore: new ShareStore(identityFile),
    startEmbedded: embeddedRelays(paths.caDir, {
      log: options.log,
      owner: identity.address,
      onCreated: (file) => notify(caCreated(file)),
    }),
  });
}

/** Whether visitors get a certificate of the local CA. In modes tcp and udp Portal uses none. */
export const hasLocalCa = (spec: ServiceSpec): boolean =>
  kindOf(spec.mode) === 'tls' && spec.tls.source === 'local';
