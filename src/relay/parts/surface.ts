import type { Socket } from 'node:net';
import { ACME_ALPN } from '../../certificates/acme/challenges.js';
import { activeNow } from '../../lib/stalls.js';
import type { AgentsSurface } from '../agents/surface.js';
import { OwnDescriptor } from '../descriptor.js';
import { Front, type FrontRoutes } from '../public-port/front.js';
import { createHttpSurface, type HttpSurface, type KeyPair } from '../public-port/http-surface.js';
import type { Address } from '../../net/listen/listen-error.js';
import { ACCEPT_MS, acceptWaiting, listenHosts } from '../public-port/listen.js';
import { listenForRedirects } from '../public-port/redirect.js';
import { SharedTlsTicketKeys } from '../public-port/tls-ticket-keys.js';
import { openByLine } from '../tickets/ticket-line.js';
import type { Turns } from '../protection/turns.js';
import type { Access } from './access.js';
import type { Chains } from './chains.js';
import type { Control } from './control.js';
import type { Health } from './health.js';
import type { Leasing } from './leasing.js';
import { placeAt, type Place, type Settings } from './settings.js';
import type { Visiting } from './visiting.js';

export interface SurfaceParts {
  readonly access: Access;
  readonly visiting: Visiting;
  readonly leasing: Leasing;
  readonly chains: Chains;
  readonly control: Control;
  readonly agents: AgentsSurface;
  readonly health: Health;
  readonly turns: Turns;
}

export const CARRIERS = ['raw', 'tls', 'ws'] as const;

/** The public port: what arrives there, and the relay's own responses over HTTP. */
export class Surface {
  readonly front: Front;
  readonly own: OwnDescriptor;
  /** Where plain HTTP is redirected to https. */
  redirect: readonly Address[] = [];
  readonly #settings: Settings;
  readonly #parts: SurfaceParts;
  readonly #http: HttpSurface;
  readonly #tlsTicketKeys: SharedTlsTicketKeys | undefined;
  #url = '';

  constructor(settings: Settings, parts: SurfaceParts, capabilities: readonly string[]) {
    this.#settings = settings;
    this.#parts = parts;
    this.front = this.#createFront();
    parts.leasing.leases.closing.watch({
      accept: () => acceptWaiting(() => this.front.accepted, ACCEPT_MS),
      oldest: () => this.front.oldestUnrouted,
      now: activeNow,
    });
    const { cluster, identity } = settings.options;
    // Processes of one machine share random keys.
    this.#tlsTicketKeys = cluster && !cluster.sharesPorts ? new SharedTlsTicketKeys(identity) : undefined;
    this.#http = this.#createHttp();
    this.#tlsTicketKeys?.follow((keys) => this.#http.useTlsTicketKeys(keys));
    const { heartbeatMs, graceMs, reservationMs, maxLeasesPerSession } = settings.limits;
    this.own = new OwnDescriptor(settings.options.identity, () => ({
      url: this.#url,
      capabilities,
      carriers: CARRIERS,
      limits: { heartbeatMs, graceMs, reservationMs, maxLeasesPerSession },
    }));
  }

  /** Listens at the public port. Resolves with where that is. */
  async start(): Promise<Place> {
    const { options } = this.#settings;
    const { hosts, port } = await this.front.listen(options.takeOver);
    const place = placeAt(options, hosts, port);
    this.#url = place.url;
    return place;
  }

  /** Listens at the port for plain HTTP. */
  async startRedirect({ hosts, port }: Place): Promise<void> {
    const { options, log } = this.#settings;
    this.redirect = await listenForRedirects(this.front, { hosts, port, asked: options.httpRedirect, log });
  }

  serveCertificate(pair: KeyPair): void {
    this.#http.serveCertificate(pair);
  }

  /** Closes the ports. Accepted connections may still send their first bytes. */
  stopListening(): void {
    this.front.stopListening();
  }

  /** Accepts nothing more. */
  stop(): void {
    this.front.stop();
  }

  /** Closes every connection that came in here. */
  async close(): Promise<void> {
    this.#tlsTicketKeys?.close();
    this.#http.close();
    await this.front.close();
  }

  #createFront(): Front {
    const { options, limits } = this.#settings;
    const { access, turns } = this.#parts;
    const { quotas, descriptors } = access;
    return new Front({
      hosts: listenHosts([options.host].flat()),
      port: options.port,
      shared: options.socket,
      firstBytesMs: limits.firstBytesMs,
      maxUnroutedConnections: limits.maxUnroutedConnections,
      maxUnroutedBytes: limits.maxUnroutedBytes,
      isProxy: (socket) => access.isProxy(socket),
      admits: (socket) => access.admits(socket),
      arrived: () => turns.arrived(),
      hasDescriptors: (socket) => descriptors.admits(socket),
      closeRequest: () => this.#http.closeCrowded(),
      evicted: (limit) => quotas.refusals.add(limit),
      // A client without a server name typed the relay's IP address, which SNI cannot carry (RFC 6066 §3).
      isOwn: (serverName) => serverName === undefined || serverName === options.domain,
      routes: this.#routes(),
    });
  }

  #routes(): FrontRoutes {
    const { visiting, leasing } = this.#parts;
    const { challenges, domain } = this.#settings.options;
    return {
      visitor: (hello, socket, head) => {
        const { leases } = leasing;
        if (!leasing.isCurrent()) return false;
        const { serverName, alpn, since } = hello;
        const lease =
          leases.find(serverName, { validates: alpn.includes(ACME_ALPN) }) ??
          leases.closing.find(serverName, since) ??
          leases.expected.at(serverName);
        if (lease) visiting.gate.admit(lease, socket, hello, head);
        else visiting.tallies.visitorsUnserved.add('unknown_name');
        return lease !== undefined;
      },
      ownTls: (socket, alpn) => {
        if (challenges?.isPending(domain) && alpn.includes(ACME_ALPN)) challenges.respond(socket);
        else this.#http.tls(socket);
      },
      plain: (socket) => this.#http.plain(socket),
      ticket: (socket, shown) => openByLine(socket, shown, visiting),
    };
  }

  #createHttp(): HttpSurface {
    const { options, limits, tag = '' } = this.#settings;
    const { access, visiting, leasing, chains, control, agents, health, turns } = this.#parts;
    return createHttpSurface({
      tls: options.tls,
      tlsTicketKeys: this.#tlsTicketKeys?.current ?? options.tlsTicketKeys,
      url: () => this.#url,
      serves: (hostname) => leasing.leases.serves(hostname),
      requestHeadMs: limits.requestHeadMs,
      maxRequestConnections: limits.maxRequestConnections,
      turns,
      descriptor: () => this.own.current,
      relays: () => chains.peers.descriptors(),
      hops: chains.hops,
      onHop: (socket: Socket) => this.front.take(socket),
      agents: (...asked) => agents.serve(...asked),
      problem: () => health.problem(),
      degraded: () => health.degraded(),
      refuseControl: (socket) => control.reject(socket),
      demandWork: (socket) => control.demandWork(socket),
      onControl: (ws, socket, begins) => control.begin(ws, socket, begins),
      hasDescriptors: visiting.hasDescriptors,
      onTrusted: visiting.onTrusted,
      ticketTag: tag,
      onData: visiting.onData,
      onCrowded: () => access.quotas.refusals.add('maxRequestConnections'),
      onDatagrams: (ticket) => visiting.datagrams.redeem(ticket),
      forwardDatagrams: (datagrams) => visiting.datagrams.forward(datagrams),
    });
  }
}
