import type { ShareStore } from '../agent/access/share/store.js';
import type { AccessLog } from '../agent/access-log.js';
import type { HoldLimits } from '../agent/hold/limits.js';
import type { AcmeOptions } from '../certificates/acme/certificates.js';
import type { Identity } from '../identity/identity.js';
import type { Logger } from '../lib/logger.js';
import type { CandidatePoolOptions } from './candidates/pool.js';
import type { EmbeddedRelay, EmbeddedSpec } from './relays/embedded.js';
import type { ProxyFor } from './relays/endpoint.js';
import type { PortalEvent } from './events.js';
import type { InspectorSettings } from './local/inspection.js';
import type { PortHolder } from './notices.js';
import type { RelayTrust } from './relays/relays.js';

export interface RunnerOptions {
  /** Absolute path of portal.yaml; null without one. */
  readonly file: string | null;
  readonly version: string;
  /** Name of this machine, unless the file sets one. Default: relays get no name. */
  readonly machine?: string;
  readonly identity: Identity;
  /** Folder of the local CA (lib/paths). */
  readonly caDir: string;
  /** Average interval between two visits that prove a service reachable. */
  readonly proveEveryMs?: number;
  /** Folder of ACME accounts and certificates (lib/paths). */
  readonly acmeDir: string;
  /** ACME schedule. Default: the usual pauses. */
  readonly acme?: Pick<AcmeOptions, 'schedule'>;
  readonly proxyFor?: ProxyFor;
  /** Folder of the copies of registries (lib/paths). Default: in memory only. */
  readonly registryDir?: string;
  /** Intervals and timeouts of the pool that differ from the defaults. */
  readonly candidates?: CandidatePoolOptions['paces'];
  /** Called with warnings that no event carries. */
  readonly warn?: (message: string) => void;
  /** Checks the keys of relays. Default: keys are not stored. */
  readonly trust?: RelayTrust;
  /** The share links of the identity. Default: links open nothing. */
  readonly shareStore?: ShareStore;
  /** Shows the requests of inspected services. Default: none are recorded. */
  readonly inspector?: InspectorSettings;
  /** Folder of held requests (lib/paths). Default: none is held. */
  readonly heldDir?: string;
  /** Limits of held requests that differ from the defaults. */
  readonly holdLimits?: Partial<HoldLimits>;
  /** Gets the requests of visitors in HTTP. Default: none is listed. */
  readonly accessLog?: AccessLog;
  /** The environment that the commands of services inherit. Default: an empty one. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly startEmbedded: (spec: EmbeddedSpec) => Promise<EmbeddedRelay>;
  readonly portHolder?: PortHolder;
  readonly emit: (event: PortalEvent) => void;
  readonly log: Logger;
}
