import type { Socket } from 'node:net';
import { acceptProxied } from '../../net/proxy-protocol/reader.js';
import { resetSocket } from '../../net/splice/reset.js';
import { clientOf } from '../../net/client-address.js';
import type { LeaseDirectory } from '../directory/directory.js';
import { publicPlaceOf } from '../directory/record.js';
import { MemoryDirectory } from '../directory/memory.js';
import { DomainWatch } from '../names/domain-watch.js';
import { DomainProofs } from '../names/domains.js';
import { ReservedLabels } from '../names/labels.js';
import type { LocalLease } from '../leases/lease.js';
import { LeaseRegistry } from '../leases/leases.js';
import { listenHosts, type ListenHost } from '../public-port/listen.js';
import { listenTcp, PublicPorts, type OpenPort } from '../leases/ports.js';
import type { Access } from './access.js';
import type { DurableState } from './durable-state.js';
import type { Settings } from './settings.js';
import type { Visiting } from './visiting.js';

export interface LeasingParts {
  readonly durable: DurableState;
  readonly access: Access;
  readonly visiting: Visiting;
}

/** Who serves what: the leases of this process, the directory of all of them, ports, and proofs of domains. */
export class Leasing {
  readonly directory: LeaseDirectory;
  readonly ports: PublicPorts;
  readonly labels: ReservedLabels;
  readonly leases: LeaseRegistry;
  /** Connections that public ports have accepted. */
  accepted = 0;
  readonly #settings: Settings;
  readonly #parts: LeasingParts;
  readonly #domains: DomainProofs;
  /** Where public ports listen. */
  #hosts: readonly ListenHost[];
  #domainWatch: DomainWatch | undefined;

  constructor(settings: Settings, parts: LeasingParts) {
    const { options, limits, log } = settings;
    const { store, clock, reservations } = parts.durable;
    this.#settings = settings;
    this.#parts = parts;
    this.#hosts = listenHosts([options.host].flat());
    this.#domains = new DomainProofs({
      domain: options.domain,
      limits,
      log,
      ...(options.dnsServers && { servers: options.dnsServers }),
    });
    this.ports = new PublicPorts({
      ranges: options.ports ?? {},
      listen: {
        tcp: (lease, at) => this.#listenTcp(lease, at),
        udp: (lease, at) => this.#listenUdp(lease, at),
      },
      store,
      now: () => clock.now(),
      ...limits,
    });
    // Without a cluster, one process serves all leases of this relay.
    this.directory = options.cluster?.directory ?? new MemoryDirectory().node('this');
    this.labels = new ReservedLabels(options.reservedLabels);
    this.leases = new LeaseRegistry({
      directory: this.directory,
      remote: parts.visiting.remote,
      reservations,
      labels: this.labels,
      ports: this.ports,
      domains: this.#domains,
      quotas: parts.access.quotas,
      queues: parts.visiting.gate,
      domain: options.domain,
      nodeHost: options.nodeHost,
      log,
      ...limits,
    });
  }

  /** Whether this node may serve its leases: no other node can have taken them without its knowledge. */
  isCurrent(): boolean {
    return this.#settings.options.cluster?.isCurrent?.() ?? true;
  }

  /** From then on visitors of reserved names wait for agents that return. */
  async expectAgents(): Promise<void> {
    await this.leases.start();
  }

  /** Call when the relay listens, at `hosts`. */
  start(hosts: readonly ListenHost[]): void {
    this.#hosts = hosts;
    const { limits, log } = this.#settings;
    this.#domainWatch = new DomainWatch({ proofs: this.#domains, leases: this.leases, log, ...limits });
  }

  /** Checks no more proofs. */
  stop(): void {
    this.#domainWatch?.close();
  }

  stopListening(): void {
    this.leases.stopListening();
  }

  /** Ends every lease. */
  async close(): Promise<void> {
    this.stop();
    this.leases.clear();
    await this.directory.close();
  }

  #listenUdp(lease: LocalLease, at: number): Promise<OpenPort> {
    const publicPlace = publicPlaceOf(lease.record.place);
    return this.#parts.visiting.datagrams.openPort(this.#hosts, at, lease, (address) =>
      this.leases.findHere(publicPlace, { address }),
    );
  }

  #listenTcp(lease: LocalLease, at: number): Promise<OpenPort> {
    const { access, visiting } = this.#parts;
    const publicPlace = publicPlaceOf(lease.record.place);
    const admit = (socket: Socket): void => {
      const isAdmitted = this.isCurrent() && access.admits(socket) && access.descriptors.admits(socket);
      const { address } = clientOf(socket);
      const served =
        isAdmitted && (this.leases.find(publicPlace, { address }) ?? this.leases.closing.find(publicPlace));
      if (served) visiting.gate.admitToPort(served, socket);
      else resetSocket(socket);
    };
    const { firstBytesMs } = this.#settings.limits;
    return listenTcp(this.#hosts, at, (socket) => {
      this.accepted++;
      if (access.isProxy(socket)) acceptProxied(socket, firstBytesMs, () => admit(socket));
      else admit(socket);
    });
  }
}
