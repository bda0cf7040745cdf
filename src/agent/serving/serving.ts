import type { Socket } from 'node:net';
import type { Logger } from '../../lib/logger.js';
import type { Drain } from '../../net/splice.js';
import type { FromRelay } from '../../protocol/messages.js';
import type { CertificateSources } from '../../certificates/live.js';
import type { RenewalStatus } from '../../certificates/acme/held.js';
import type { AgentDatagrams } from '../datagrams/datagrams.js';
import type { Refusals } from '../access/refusals.js';
import type { KnownTargets } from '../known-targets.js';
import type { NameRejection } from '../rejected-name.js';
import type { Recorders } from '../inspect/recorder.js';
import type { Traffic, VisitorInfo } from '../modes/mode.js';
import type { Detour } from '../relay-way.js';
import type { OnReached } from '../speaks.js';
import { kindOf, type LeaseKind, type ServedAs, type ServiceSpec } from '../spec.js';

export type { ServedAs };

/**
 * This side of an open lease: where its visitors arrive, and the proof that they do. One file a kind of lease;
 * what is done with a visitor is the mode's.
 */
export interface Serving {
  /** Takes a data connection that a visitor was joined to. */
  visit(socket: Socket, visitor: VisitorInfo): void;
  /** New settings in place: nobody who is connected is dropped for it. */
  update(spec: ServiceSpec): void;
  /**
   * What may take minutes before visitors can be served, such as a certificate that has to be ordered. Called again
   * after it failed.
   */
  prepare?(signal: AbortSignal): Promise<void>;
  /**
   * Resolves once a visit of our own to the public address has come through; bounded. `unproven` where none can be
   * made from here.
   */
  prove(way: PublicWay): Promise<void | 'unproven'>;
  /** Lets visitors finish, then closes what is left. No visit comes after it. */
  close(drain: Drain): Promise<void>;
  traffic(): Traffic;
  /** What visitors are served as. */
  servedAs(): ServedAs;
  /** How a certificate that is renewed by itself is getting on. */
  renewal?(): RenewalStatus | undefined;
}

/** The way of a visitor to a lease. */
export interface PublicWay {
  /** IP address of the relay. */
  readonly address: string;
  /** Public port of the lease. */
  readonly port: number;
  /** The relay's id of the lease. */
  readonly lease: string;
  /** The datagrams of the session. */
  readonly datagrams: AgentDatagrams | undefined;
  /** What leads there, where the relay is not reached straight. */
  readonly detour: Detour | undefined;
  readonly signal: AbortSignal;
}

export interface ServingOptions {
  readonly spec: ServiceSpec;
  readonly opened: FromRelay<'lease.opened'>;
  /** Aborts when the lease is being closed. */
  readonly signal: AbortSignal;
  /** Where `tls: local` and `tls: acme` come from. */
  readonly certificates: CertificateSources;
  /** What is known of targets already. */
  readonly targets: KnownTargets;
  /** Told of visitors who do not get in. */
  readonly refusals: Refusals;
  /** Signs visitors' sessions. */
  readonly sessionKey: Buffer;
  /** Where requests of services that are inspected are recorded; left out, none are. */
  readonly recorders?: Recorders | undefined;
  /** Hears that the target rejects the name that visitors ask for. */
  readonly onNameRejected?: (rejection: NameRejection) => void;
  /** Called when visitors are served as something else from now on, without a change of settings. */
  readonly onServedAs: () => void;
  /** Hears of each connection to a target: of a failure, or of none. */
  readonly onReached: OnReached;
  readonly log: Logger;
}

type Open = (options: ServingOptions) => Promise<Serving>;

/** Loaded when first used: a service in one mode does not pay for the others. */
const KINDS: Readonly<Record<LeaseKind, () => Promise<Open>>> = {
  tls: async () => (await import('./tls.js')).openTlsServing,
  tcp: async () => (await import('./tcp.js')).openTcpServing,
  udp: async () => (await import('./udp.js')).openUdpServing,
};

/** Makes ready for visitors of a lease that was opened just now. */
export async function openServing(options: ServingOptions): Promise<Serving> {
  const open = await KINDS[kindOf(options.spec.mode)]();
  return open(options);
}
