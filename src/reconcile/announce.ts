import type { AgentLease } from '../agent/lease/lease.js';
import { formatTarget } from '../net/target/target.js';
import type { PortalEvent, ServiceAddresses } from './events.js';
import { opensToMore, type Action } from './plan.js';

/** Reports the state of leases as events. */
export class Announcer {
  readonly #emit: (event: PortalEvent) => void;
  readonly #isReachable: (service: string) => boolean;
  #isReadyReported = false;
  /** How each service of mode auto is served, and the target that decided it. */
  readonly #served = new Map<string, string>();

  /** @param isReachable whether the targets of a service respond */
  constructor(emit: (event: PortalEvent) => void, isReachable: (service: string) => boolean) {
    this.#emit = emit;
    this.#isReachable = isReachable;
  }

  lease(lease: AgentLease): void {
    const { id, address, otherPort, privateOf, error, phase, unproven, spec, relay, nextInMs } = lease;
    this.#emit({
      event: 'lease',
      service: spec.service,
      relay,
      phase,
      ...(id === undefined ? {} : { lease: id }),
      ...address,
      ...otherPort,
      ...(privateOf !== undefined && { privateOf }),
      ...(phase === 'ready' && { proven: unproven === undefined }),
      ...(phase === 'ready' && !this.#isReachable(spec.service) && { unreachable: true }),
      ...(unproven === undefined ? {} : { unproven }),
      ...(error === undefined ? {} : { error }),
      ...(nextInMs === undefined ? {} : { nextInMs }),
    });
  }

  /** Reported once per service, however many leases it has, and again when it changes. */
  served({ spec, servedAs }: Pick<AgentLease, 'spec' | 'servedAs'>): void {
    const { service } = spec;
    const target = formatTarget(spec.target);
    const served = `${servedAs} ${target}`;
    if (this.#served.get(service) === served) return;
    this.#served.set(service, served);
    this.#emit({ event: 'served', service, servedAs, target });
  }

  /** Reports the end of a pass: what happened to each service. */
  applied(
    revision: number,
    actions: readonly Action[],
    leases: readonly AgentLease[],
    retiring: Readonly<Record<string, number>>,
    durationMs: number,
    expired: ReadonlySet<string> = new Set(),
  ): void {
    const opening = actions.filter(({ kind }) => kind === 'open' || kind === 'replace');
    const failed = new Set(
      opening.map(({ service }) => service).filter((service) => hasFailed(leases, service)),
    );
    const done = actions.filter((action) => !(opening.includes(action) && failed.has(action.service)));
    const names = (kind: Action['kind']): string[] =>
      servicesOf(done.filter((action) => action.kind === kind));
    const exposed = servicesOf(done.filter(opensToMore));
    const ended = names('close').filter((service) => expired.has(service));
    this.#emit({
      event: 'applied',
      revision,
      opened: names('open'),
      updated: names('update'),
      replaced: names('replace'),
      closed: names('close'),
      kept: names('keep'),
      failed: [...failed],
      ...(exposed.length > 0 && { exposed }),
      ...(ended.length > 0 && { expired: ended }),
      ...(Object.keys(retiring).length > 0 && { retiring }),
      durationMs: Math.round(durationMs * 10) / 10,
    });
  }

  /**
   * Reports `ready` once: when every service has a ready lease and all other leases are final.
   * @param services the services to run
   */
  ready(
    leases: readonly AgentLease[],
    services: readonly string[],
    isFinalLease: (lease: AgentLease) => boolean,
  ): void {
    if (this.#isReadyReported || services.length === 0) return;
    const ready = leases.filter(({ phase }) => phase === 'ready');
    const running = new Set(ready.map(({ spec }) => spec.service));
    if (!services.every((service) => running.has(service)) || !leases.every(isFinalLease)) return;
    this.#isReadyReported = true;
    const proven = new Set(ready.filter((lease) => !lease.unproven).map(({ spec }) => spec.service));
    const unproven = services.filter((service) => !proven.has(service));
    const unreachable = services.filter((service) => !this.#isReachable(service));
    this.#emit({
      event: 'ready',
      services: addressesOf(ready),
      ...(unproven.length > 0 && { unproven }),
      ...(unreachable.length > 0 && { unreachable }),
    });
  }
}

const servicesOf = (actions: readonly Action[]): string[] => [
  ...new Set(actions.map(({ service }) => service)),
];

/** Whether no lease of the service can still become ready. */
function hasFailed(leases: readonly AgentLease[], service: string): boolean {
  const own = leases.filter(({ spec }) => spec.service === service);
  return own.length > 0 && own.every(({ phase }) => phase === 'failed');
}

/** The public addresses of the services of these leases. */
export function addressesOf(leases: readonly AgentLease[]): Record<string, ServiceAddresses> {
  const addresses: Record<string, ServiceAddresses> = {};
  for (const { spec, address, servedAs } of leases) {
    const { urls, tcp, udp } = (addresses[spec.service] ??= { urls: [], tcp: [], udp: [], servedAs });
    if (address.url !== undefined) urls.push(address.url);
    if (address.tcpAddr !== undefined) tcp.push(address.tcpAddr);
    if (address.udpAddr !== undefined) udp.push(address.udpAddr);
  }
  return addresses;
}

/** Whether waiting is pointless: the lease is ready, or its relay lacks a capability that the service requires. */
export function isFinal({ phase, error }: AgentLease): boolean {
  return phase === 'ready' || (phase === 'failed' && error?.code === 'capability_missing');
}
