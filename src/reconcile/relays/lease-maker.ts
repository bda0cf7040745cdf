import { AgentLease } from '../../agent/lease/lease.js';
import type { LeaseOptions } from '../../agent/lease/options.js';
import type { CertificateNews } from '../../certificates/source.js';
import { relayKey, type RelaySpec } from '../../agent/spec.js';
import type { PortalEvent } from '../events.js';
import type { LocalServices } from '../local/local-services.js';
import { certificateNews, nameRejected, replicasMissing, signInFailed, type Notice } from '../notices.js';
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
  /** The latest news of the certificates of each service, by relay. */
  readonly #certificates = new Map<string, Map<string, string>>();

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
      onCertificate: ({ spec: { service }, relay: at }, news) => this.#certificateNews(service, at, news),
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

  /** Once for all relays of the service, and again after other news. */
  #certificateNews(service: string, relay: string, news: CertificateNews): void {
    const notice = certificateNews(service, news);
    const told = this.#certificates.get(service) ?? new Map<string, string>();
    this.#certificates.set(service, told);
    const isKnown = [...told.values()].includes(notice.message);
    told.set(relay, notice.message);
    if (!isKnown) this.#options.emit({ event: 'notice', ...notice });
  }

  #once(key: string, notice: () => Notice): void {
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    this.#options.emit({ event: 'notice', ...notice() });
  }
}
