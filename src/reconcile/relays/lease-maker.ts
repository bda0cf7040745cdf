import { AgentLease } from '../../agent/lease/lease.js';
import type { LeaseOptions } from '../../agent/lease/options.js';
import { relayKey, type RelaySpec } from '../../agent/spec.js';
import type { PortalEvent } from '../events.js';
import type { LocalServices } from '../local/local-services.js';
import { certificateTrouble, nameRejected, replicasMissing, signInFailed, type Notice } from '../notices.js';
import type { Placement } from '../plan.js';

type Shared =
  | 'pace'
  | 'proveEveryMs'
  | 'certificates'
  | 'sessionKey'
  | 'identity'
  | 'shares'
  | 'proxyFor'
  | 'recorders'
  | 'accessLog'
  | 'held'
  | 'log';

export interface LeaseMakerOptions {
  /** What all leases of the agent share. */
  readonly shared: Pick<LeaseOptions, Shared>;
  readonly local: Pick<LocalServices, 'protocols' | 'errorOf' | 'noted'>;
  readonly emit: (event: PortalEvent) => void;
  /** Called after each change of a lease's phase. */
  readonly onPhase: (lease: AgentLease, relay: RelaySpec) => void;
  /** Called when visitors are served in another way, because of the target's protocol. */
  readonly onServedAs: (lease: AgentLease) => void;
}

/** Makes leases that report to the agent. Owns which notices about them users have seen. */
export class LeaseMaker {
  readonly #options: LeaseMakerOptions;
  readonly #noticed = new Set<string>();

  constructor(options: LeaseMakerOptions) {
    this.#options = options;
  }

  make({ relay, spec }: Placement): AgentLease {
    const { shared, local, emit, onPhase, onServedAs } = this.#options;
    const lease = new AgentLease({
      ...shared,
      spec,
      relay: relayKey(relay),
      targets: local.protocols,
      onPhase: (changed) => onPhase(changed, relay),
      onServedAs,
      onReached: ({ spec: { service } }, target, failure) => local.noted(service, target, failure?.message),
      onUnserved: ({ spec: { service }, relay: at }, reason, count) =>
        emit({ event: 'unserved', service, relay: at, reason, count }),
      onVisitorRejected: ({ spec: { service } }, reason, remote) =>
        emit({ event: 'refused', service, reason, remote }),
      // Each service and framework once, however many visitors see it.
      onNameRejected: ({ spec: { service } }, rejection) =>
        this.#once(`rejected ${service} ${rejection.id}`, () => nameRejected(service, rejection)),
      // Each once for all relays of the service. After a renewal, the next trouble has another date.
      onCertificateTrouble: ({ spec: { service } }, trouble) => {
        const notice = certificateTrouble(service, trouble);
        this.#once(notice.message, () => notice);
      },
      onSignIn: ({ spec: { service } }, failure) => {
        if (failure) this.#once(`sign-in ${service} ${failure.kind}`, () => signInFailed(service, failure));
        else for (const kind of ['down', 'rejected']) this.#noticed.delete(`sign-in ${service} ${kind}`);
      },
      onWithoutReplicas: ({ spec: { service }, relay: at }) =>
        this.#once(`replicas ${service} ${at}`, () => replicasMissing(service, at)),
    });
    lease.targetUp = local.errorOf(spec.service) === undefined;
    return lease;
  }

  #once(key: string, notice: () => Notice): void {
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    this.#options.emit({ event: 'notice', ...notice() });
  }
}
