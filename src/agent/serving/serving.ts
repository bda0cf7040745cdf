import type { AccessLog } from '../access-log.js';
import type { Socket } from 'node:net';
import type { Logger } from '../../lib/logger.js';
import type { Drain } from '../../net/splice/splice.js';
import type { FromRelay } from '../../protocol/messages.js';
import type { CertificateSources } from '../../certificates/live.js';
import type { CertificateNews, RenewalStatus } from '../../certificates/source.js';
import type { AgentDatagrams } from '../datagrams/datagrams.js';
import type { Gates } from '../access/gates.js';
import type { KnownTargets } from '../target/known-targets.js';
import type { NameRejection } from '../lease/rejected-name.js';
import type { HeldRequests } from '../hold/held-requests.js';
import type { Recorders } from '../inspect/recorder.js';
import type { Traffic, VisitorInfo } from '../modes/mode.js';
import type { Tunnel } from '../session/relay-endpoint.js';
import type { OnReached } from '../target/target-protocols.js';
import { kindOf, type LeaseKind, type ServedAs, type ServiceSpec } from '../spec.js';

export type { ServedAs };

/**
 * The agent's side of an open lease: receives its visitors, and proves that they arrive. Each kind of lease has one
 * file. The mode's handler serves the visitors.
 */
export interface Serving {
  /** Accepts a data connection with a visitor. */
  visit(socket: Socket, visitor: VisitorInfo): void;
  /** Applies new settings in place. Connected visitors stay. */
  update(spec: ServiceSpec): void;
  /** Preparations that may take minutes, such as ordering a certificate. Called again after a failure. */
  prepare?(signal: AbortSignal): Promise<void>;
  /**
   * Resolves once a visit to the public address succeeds, within a timeout. Resolves with `unproven` if no visit is possible
   * from here.
   */
  prove(options: ProveOptions): Promise<void | 'unproven'>;
  /** Lets visitors finish, then closes the rest. No visit follows. */
  close(drain: Drain): Promise<void>;
  traffic(): Traffic;
  /** The current protocol for visitors. */
  servedAs(): ServedAs;
  /** The state of a certificate that changes while it is served. */
  renewal?(): RenewalStatus | undefined;
}

/** How visitors reach a lease. */
export interface ProveOptions {
  /** IP address of the relay, or the host of the lease's port. */
  readonly address: string;
  /** Public port of the lease. */
  readonly port: number;
  /** The relay's id of the lease. */
  readonly lease: string;
  /** The datagrams of the session. */
  readonly datagrams: AgentDatagrams | undefined;
  /** The tunnel to the relay, if the connection is not direct. */
  readonly via: Tunnel | undefined;
  readonly signal: AbortSignal;
}

export interface ServingOptions {
  readonly spec: ServiceSpec;
  readonly opened: FromRelay<'lease.opened'>;
  /** Aborts when the lease closes. */
  readonly signal: AbortSignal;
  /** Certificates for `tls: local` and `tls: acme`. */
  readonly certificates: CertificateSources;
  /** What is already known of targets. */
  readonly targets: KnownTargets;
  /** Which visitors may use the service. The lease applies new settings to them, before it calls `update`. */
  readonly gates: Gates;
  /** A secret that all agents of the identity have. */
  readonly sessionKey: Buffer;
  /** Records the requests of inspected services. Default: no recording. */
  readonly recorders?: Recorders | undefined;
  /** Gets the requests of visitors in HTTP. Default: none is listed. */
  readonly accessLog?: AccessLog | undefined;
  /** Holds requests while their target is down. */
  readonly held?: HeldRequests | undefined;
  /** Called when the target rejects the public name. */
  readonly onNameRejected?: (rejection: NameRejection) => void;
  /** Called when visitors are served in another way without a change of settings. */
  readonly onServedAs: () => void;
  /** Called when the certificate that visitors get changes, or is not renewed. The same news may come several times. */
  readonly onCertificate?: (news: CertificateNews) => void;
  /** Called for each connection to a target, with its error if it failed. */
  readonly onReached: OnReached;
  readonly log: Logger;
}

type Open = (options: ServingOptions) => Promise<Serving>;

/** Loaded on demand, so that a service pays only for its own mode. */
const KINDS: Readonly<Record<LeaseKind, () => Promise<Open>>> = {
  tls: async () => (await import('./tls.js')).openTlsServing,
  tcp: async () => (await import('./tcp.js')).openTcpServing,
  udp: async () => (await import('./udp.js')).openUdpServing,
};

/** Creates the serving side of a lease that was just opened. */
export async function openServing(options: ServingOptions): Promise<Serving> {
  const open = await KINDS[kindOf(options.spec.mode)]();
  return open(options);
}
