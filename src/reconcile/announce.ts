import type { AgentLease } from '../agent/lease.js';
import type { PortalEvent, ServiceAddresses } from './events.js';

/** Tells what becomes of leases, as events. */
export class Announcer {
  readonly #emit: (event: PortalEvent) => void;
  #readyTold = false;

  constructor(emit: (event: PortalEvent) => void) {
    this.#emit = emit;
  }

  lease({ id, address, askedPort, error, phase, spec, relay }: AgentLease): void {
    this.#emit({
      event: 'lease',
      service: spec.service,
      relay,
      phase,
      ...(id === undefined ? {} : { lease: id }),
      ...address,
      ...(askedPort === undefined ? {} : { askedPort }),
      ...(error === undefined ? {} : { error }),
    });
  }

  /** `ready` is said once: when all first leases are through. */
  ready(leases: readonly AgentLease[]): void {
    if (this.#readyTold || leases.length === 0) return;
    if (!leases.every(({ phase }) => phase === 'ready')) return;
    this.#readyTold = true;
    const services: Record<string, ServiceAddresses> = {};
    for (const { spec, address } of leases) {
      const { urls, tcp, udp } = (services[spec.service] ??= { urls: [], tcp: [], udp: [] });
      if (address.url !== undefined) urls.push(address.url);
      if (address.tcpAddr !== undefined) tcp.push(address.tcpAddr);
      if (address.udpAddr !== undefined) udp.push(address.udpAddr);
    }
    this.#emit({ event: 'ready', services });
  }
}
