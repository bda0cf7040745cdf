import type { AgentLease } from '../agent/lease.js';
import { formatTarget } from '../net/target.js';
import type { PortalEvent, ServiceAddresses } from './events.js';
import type { Action } from './plan.js';

/** Tells what becomes of leases, as events. */
export class Announcer {
  readonly #emit: (event: PortalEvent) => void;
  #readyTold = false;
  /** What visitors of each service of mode auto are served as, and the target that decided it. */
  readonly #served = new Map<string, string>();

  constructor(emit: (event: PortalEvent) => void) {
    this.#emit = emit;
  }

  lease({ id, address, askedPort, error, phase, unproven, spec, relay }: AgentLease): void {
    this.#emit({
      event: 'lease',
      service: spec.service,
      relay,
      phase,
      ...(id === undefined ? {} : { lease: id }),
      ...address,
      ...(askedPort === undefined ? {} : { askedPort }),
      ...(phase === 'ready' && { proven: unproven === undefined }),
      ...(unproven === undefined ? {} : { unproven }),
      ...(error === undefined ? {} : { error }),
    });
  }

  /** Told once, however many leases the service has, and again when it changes. */
  served({ spec, servedAs }: Pick<AgentLease, 'spec' | 'servedAs'>): void {
    const { service } = spec;
    const target = formatTarget(spec.target);
    const served = `${servedAs} ${target}`;
    if (this.#served.get(service) === served) return;
    this.#served.set(service, served);
    this.#emit({ event: 'served', service, servedAs, target });
  }

  /** A pass is over: what became of each service. */
  applied(
    revision: number,
    actions: readonly Action[],
    leases: readonly AgentLease[],
    retiring: Readonly<Record<string, number>>,
    durationMs: number,
  ): void {
    const opening = actions.filter(({ kind }) => kind === 'open' || kind === 'replace');
    const failed = new Set(
      opening.map(({ service }) => service).filter((service) => hasFailed(leases, service)),
    );
    const names = (kind: Action['kind']): string[] => [
      ...new Set(
        actions
          .filter(
            (action) => action.kind === kind && !(opening.includes(action) && failed.has(action.service)),
          )
          .map(({ service }) => service),
      ),
    ];
    this.#emit({
      event: 'applied',
      revision,
      opened: names('open'),
      updated: names('update'),
      replaced: names('replace'),
      closed: names('close'),
      kept: names('keep'),
      failed: [...failed],
      ...(Object.keys(retiring).length > 0 && { retiring }),
      durationMs: Math.round(durationMs * 10) / 10,
    });
  }

  /**
   * `ready` is said once: when every service has a lease that is ready, and all its others are through.
   * @param services those that are to run
   * @param isReachable whether the targets of a service answer
   */
  ready(
    leases: readonly AgentLease[],
    services: readonly string[],
    isThroughHere: (lease: AgentLease) => boolean,
    isReachable: (service: string) => boolean,
  ): void {
    if (this.#readyTold || services.length === 0) return;
    const ready = leases.filter(({ phase }) => phase === 'ready');
    const running = new Set(ready.map(({ spec }) => spec.service));
    if (!services.every((service) => running.has(service)) || !leases.every(isThroughHere)) return;
    this.#readyTold = true;
    const proven = new Set(ready.filter((lease) => !lease.unproven).map(({ spec }) => spec.service));
    const unproven = services.filter((service) => !proven.has(service));
    const unreachable = services.filter((service) => !isReachable(service));
    this.#emit({
      event: 'ready',
      services: addressesOf(ready),
      ...(unproven.length > 0 && { unproven }),
      ...(unreachable.length > 0 && { unreachable }),
    });
  }
}

/** None of its leases may still get through. */
function hasFailed(leases: readonly AgentLease[], service: string): boolean {
  const own = leases.filter(({ spec }) => spec.service === service);
  return own.length > 0 && own.every(({ phase }) => phase === 'failed');
}

/** Where visitors find the services of these leases. */
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

/** Nothing more is to be waited for: it is ready, or the relay has nothing to offer that the service could run on. */
export function isThrough({ phase, error }: AgentLease): boolean {
  return phase === 'ready' || (phase === 'failed' && error?.code === 'capability_missing');
}
