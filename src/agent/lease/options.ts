import type { CertificateSources } from '../../certificates/live.js';
import type { CertificateNews } from '../../certificates/source.js';
import type { Identity } from '../../identity/identity.js';
import type { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import type { Target } from '../../net/target/target.js';
import type { SignInFailure } from '../access/gate.js';
import type { RejectionReason } from '../access/rejections.js';
import type { Shares } from '../access/share/shares.js';
import type { AccessLog } from '../access-log.js';
import type { HeldRequests } from '../hold/held-requests.js';
import type { Recorders } from '../inspect/recorder.js';
import type { ProbePace } from '../proof/probe-pace.js';
import type { ServiceSpec } from '../spec.js';
import type { KnownTargets } from '../target/known-targets.js';
import type { AgentLease } from './lease.js';
import type { NameRejection } from './rejected-name.js';

export interface LeaseOptions {
  readonly spec: ServiceSpec;
  /** The relay's key, as in events and status. */
  readonly relay: string;
  /** Certificates for `tls: local` and `tls: acme`. */
  readonly certificates: CertificateSources;
  /** What the agent knows of targets, shared by all leases. */
  readonly targets: KnownTargets;
  /** Signs the sessions of visitors that passed a gate. Stable across restarts. */
  readonly sessionKey: Buffer;
  /** Owns the service. */
  readonly identity: Identity;
  /** The identity's share links. Default: links open nothing. */
  readonly shares?: Shares | undefined;
  /** The proxy for connections of gates. Default: none. */
  readonly proxyFor?: ProxyFor | undefined;
  /** Records the requests of inspected services. Default: no recording. */
  readonly recorders?: Recorders | undefined;
  /** Gets the requests of visitors in HTTP. Default: none is listed. */
  readonly accessLog?: AccessLog | undefined;
  /** Holds requests while their target is down. Default: none is held. */
  readonly held?: HeldRequests | undefined;
  /** Limits the agent's own visits in progress. */
  readonly pace: ProbePace;
  /** Average interval between two proofs of a ready lease. */
  readonly proveEveryMs: number;
  /** Called for visitors that a gate rejected, once per interval and address. */
  readonly onVisitorRejected: (lease: AgentLease, reason: RejectionReason, address: string) => void;
  /** Called when the target rejects the public name. */
  readonly onNameRejected?: (lease: AgentLease, rejection: NameRejection) => void;
  /** Called when visitors cannot sign in with the provider of `access.oidc`, and, with undefined, when one can again. */
  readonly onSignIn?: (lease: AgentLease, failure: SignInFailure | undefined) => void;
  /** Called when the certificate changes, or is not renewed. The same news may come several times. */
  readonly onCertificate?: (lease: AgentLease, news: CertificateNews) => void;
  /** Called with the number of visitors that the relay gave up on, at most once per second. */
  readonly onUnserved: (lease: AgentLease, reason: string, count: number) => void;
  /** Called when visitors are served in another way, because of the target's protocol. */
  readonly onServedAs: (lease: AgentLease) => void;
  /** Called when the relay does not let other agents serve the name as well. */
  readonly onWithoutReplicas?: (lease: AgentLease) => void;
  /** Called for each connection to a target, with its error if it failed. */
  readonly onReached: (lease: AgentLease, target: Target, failure?: PortalError) => void;
  /** Called after each change of phase. */
  readonly onPhase: (lease: AgentLease) => void;
  readonly log: Logger;
}
