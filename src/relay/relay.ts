import { createHmac, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { ACME_ALPN } from '../certificates/acme/challenges.js';
import { PortalError } from '../lib/errors.js';
import { silent } from '../lib/logger.js';
import { resetSocket } from '../net/reset.js';
import { LIMITS } from '../protocol/limits.js';
import { AgentsHere } from './agents/here.js';
import { Datagrams } from './datagrams/datagrams.js';
import { Denied, NOBODY, type DenyList } from './denied.js';
import { OwnDescriptor } from './descriptor.js';
import { Descriptors, limitsFor } from './descriptors.js';
import { expel } from './expel.js';
import { Front } from './front.js';
import { MemoryDirectory } from './directory/memory.js';
import { DomainWatch } from './domain-watch.js';
import { DomainProofs } from './domains.js';
import { Hops } from './hops.js';
import { type ControlBegins, createHttpSurface, type HttpSurfaceOptions, type KeyPair } from './http.js';
import { LeaseRegistry } from './leases.js';
import { type Address, listenHosts } from './listen.js';
import { ExpiryClock } from './expiry-clock.js';
import type { RelayLimits } from './limits.js';
import type { Relay, RelayCounts, RelayOptions } from './options.js';
import { Peers } from './peers.js';
import { Quotas } from './quotas.js';
import { Session, type SessionContext } from './session.js';
import { Sessions, type Rejection } from './sessions.js';
import { shutDown } from './shutdown.js';
import { listenTcp, PORT_KINDS, PublicPorts } from './ports.js';
import { ReservedLabels } from './labels.js';
import { Reservations } from './reservations.js';
import { listenForRedirects } from './redirect.js';
import { readStats } from './stats.js';
import { openStore } from './store/store.js';
import { openByLine } from './ticket-line.js';
import { TicketBook } from './tickets.js';
import { Turns } from './turns.js';
import { startUpkeep, warnOfClock } from './upkeep.js';
import { Tallies } from './tallies.js';
import { VisitorGate } from './visitors.js';

export type { RelayLimits } from './limits.js';
export type { Relay, RelayOptions, RelayStats } from './options.js';

const CARRIERS = ['raw', 'tls', 'ws'] as const;
const GOING_AWAY: Rejection = {
  status: '503 Service Unavailable',
  retryAfterSeconds: 1,
  code: 'shutting_down',
  message: 'the relay is stopping',
};

/** Starts a relay; resolves once it listens. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { domain, identity, log = silent } = options;
  const limits: RelayLimits = {
    ...LIMITS,
    ...limitsFor(LIMITS, options.descriptorLimit),
    ...options.limits,
  };
  const descriptors = new Descriptors(options.descriptorLimit, log);
  const store = await openStore(options.store);
  const clock = new ExpiryClock({ newestUse: await store.newestUse(), reservationMs: limits.reservationMs });
  warnOfClock(clock, log);
  const quotas = new Quotas(limits);
  const denied = new Denied({ owner: options.owner, log });
  denied.allow(options.allow);
  denied.set(options.deny ?? NOBODY);
  const admits = (socket: Socket): boolean =>
    denied.connection(socket) && quotas.connection(socket, socket.remoteAddress);
  const tallies = new Tallies(options.onVisitorWaited);
  const gate = new VisitorGate(limits, { quotas, tallies, descriptors });
  const tickets = new TicketBook(limits.ticketMs);
  const datagrams = new Datagrams(limits, log, (address) => denied.admits(address));
  let hosts = listenHosts([options.host].flat());
  const ports = new PublicPorts({
    ranges: options.ports ?? {},
    listen: {
      tcp: (lease, at) =>
        listenTcp(hosts, at, (socket) => {
          if (admits(socket) && descriptors.admits(socket)) gate.admitToPort(lease, socket);
          else resetSocket(socket);
        }),
      udp: (lease, at) => datagrams.openPort(hosts, at, lease),
    },
    store,
    now: () => clock.now(),
    ...limits,
  });
  const peers = new Peers({
    peers: options.peers ?? [],
    trustAnew: options.trustPeers ?? [],
    store,
    limits,
    log,
  });
  const capabilities = [
    'stream',
    'http',
    'hostname',
    ...PORT_KINDS.filter((kind) => ports.offers(kind)),
    ...(peers.size > 0 ? ['hop'] : []),
    ...(options.agents === false ? [] : ['agents']),
  ];
  const networkKey = identity.derive('networks of reservations');
  const reservations = new Reservations({
    store,
    limits,
    refusals: quotas.refusals,
    now: () => clock.now(),
    tagOf: (network) => createHmac('sha256', networkKey).update(network).digest('base64url').slice(0, 22),
  });
  const domains = new DomainProofs({
    domain,
    limits,
    log,
    ...(options.dnsServers && { servers: options.dnsServers }),
  });
  const labels = new ReservedLabels(options.reservedLabels);
  const directory = new MemoryDirectory().node('this');
  const leases = new LeaseRegistry({
    directory,
    reservations,
    labels,
    ports,
    domains,
    quotas,
    domain,
    log,
    ...limits,
  });
  const sessions = new Sessions(limits, quotas);
  const turns = new Turns();
  const agents = await AgentsHere.open({
    turns,
    ...(options.agents && { webDir: options.agents.webDir }),
    leases,
    reservations,
    store,
    quotas,
    denied,
    limits,
    identity,
    healthy: () => !stopping,
    log,
  });
  const hops = new Hops({
    peers,
    leases,
    quotas,
    descriptors,
    limits,
    domain,
    takeVisitor: (socket) => front.take(socket, { only: 'visitors' }),
    log,
  });
  let url = '';
  let context: SessionContext | undefined;
  let stopping = false;
  let certificateEndsAt = options.tls && endOf(options.tls);

  const data: Pick<HttpSurfaceOptions, 'hasDescriptors' | 'onTrusted' | 'onData'> = {
    hasDescriptors: (socket) => descriptors.admitsData(socket),
    onTrusted: (socket) => quotas.trusted(socket),
    onData(shown, carrier) {
      const ticket = tickets.redeem(shown, carrier);
      return ticket && ((socket) => ticket.pool.accept(ticket.connection, carrier, socket));
    },
  };

  const front = new Front({
    hosts,
    port: options.port,
    shared: options.socket,
    firstBytesMs: limits.firstBytesMs,
    maxUnroutedConnections: limits.maxUnroutedConnections,
    maxUnroutedBytes: limits.maxUnroutedBytes,
    admits,
    arrived: () => turns.arrived(),
    hasDescriptors: (socket) => descriptors.admits(socket),
    closeRequest: () => http.closeCrowded(),
    evicted: (limit) => quotas.refusals.add(limit),
    // A client without a server name typed the relay's IP address, which SNI cannot carry (RFC 6066 §3).
    isOwn: (serverName) => serverName === undefined || serverName === domain,
    routes: {
      visitor(hello, socket, head) {
        const lease = leases.find(hello.serverName) ?? leases.expect(hello.serverName);
        if (!lease) {
          tallies.visitorsUnserved.add('unknown_name');
          return false;
        }
        gate.admit(lease, socket, hello, head);
        return true;
      },
      ownTls(socket, alpn) {
        const { challenges } = options;
        if (challenges?.isPending(domain) && alpn.includes(ACME_ALPN)) challenges.answer(socket);
        else http.tls(socket);
      },
      plain: (socket) => http.plain(socket),
      ticket: (socket, shown) => openByLine(socket, shown, data),
    },
  });

  const http = createHttpSurface({
    tls: options.tls,
    url: () => url,
    serves: (hostname) => leases.find(hostname) !== undefined,
    requestHeadMs: limits.requestHeadMs,
    maxRequestConnections: limits.maxRequestConnections,
    turns,
    descriptor: () => own.current,
    relays: () => peers.descriptors(),
    hops,
    onHop: (socket) => front.take(socket),
    agents: (...asked) => agents.serve(...asked),
    problem,
    refuseControl: (socket) =>
      stopping ? GOING_AWAY : sessions.reject(socket, (socket as TLSSocket).remoteAddress),
    demandWork: (socket) => sessions.demandWork(socket.remoteAddress),
    onControl(ws: WebSocket, socket: TLSSocket, { work, greeted }: ControlBegins) {
      const session = new Session(ws, socket, context!, {
        work,
        onHello: () => {
          if (stopping) throw new PortalError(GOING_AWAY.code, GOING_AWAY.message);
          sessions.enter(session);
          greeted();
        },
        onOpen: () => sessions.proven(session),
      });
      ws.once('close', () => sessions.forget(session));
    },
    ...data,
    onCrowded: () => quotas.refusals.add('maxRequestConnections'),
    onDatagrams: (ticket) => datagrams.redeem(ticket),
  });

  const own = new OwnDescriptor(identity, () => {
    const { heartbeatMs, graceMs, reservationMs, maxLeasesPerSession } = limits;
    return {
      url,
      capabilities,
      carriers: CARRIERS,
      limits: { heartbeatMs, graceMs, reservationMs, maxLeasesPerSession },
    };
  });

  let port: number;
  let redirect: Address[];
  try {
    ({ hosts, port } = await front.listen(options.takeOver));
    await leases.start();
    redirect = await listenForRedirects(front, { hosts, port, asked: options.httpRedirect, log });
  } catch (error) {
    await front.close();
    http.close();
    tickets.close();
    await store.close();
    throw error;
  }
  if (ports.offers('udp')) await datagrams.listen(hosts, port, options.port === 0);
  const publicPort = options.publicPort ?? port;
  const authority = publicPort === 443 ? domain : `${domain}:${publicPort}`;
  url = `https://${authority}`;
  context = {
    ...limits,
    authority,
    url,
    identity,
    domain,
    publicPort,
    // If both ports are equal, assume that a NAT maps them to the same public port.
    datagramPort: options.datagramPort ?? (datagrams.port === port ? publicPort : datagrams.port),
    capabilities,
    carriers: CARRIERS,
    leases,
    agents: agents.registry,
    denied,
    quotas,
    tallies,
    tickets,
    gate,
    datagrams,
    hops,
    turns,
    log,
  };
  if (options.agents !== false) agents.start({ url, authority, domain, publicPort });
  hops.start({ url, authority: `${domain}:${publicPort}`, host: hosts[0]!.host });
  peers.start(url);
  const stopUpkeep = startUpkeep({ leases, agents: agents.registry, reservations, clock, limits, log });
  const domainWatch = new DomainWatch({ proofs: domains, leases, log, ...limits });
  log.info({ url, identity: identity.address }, 'relay listening');

  function problem(): string | undefined {
    if (stopping) return 'stopping';
    if (certificateEndsAt === undefined || certificateEndsAt > Date.now()) return undefined;
    return `the certificate expired at ${new Date(certificateEndsAt).toISOString()}`;
  }

  const counts = (): RelayCounts => ({
    sessions: sessions.size,
    handshakes: sessions.handshakes,
    mostHandshakes: sessions.mostHandshakes,
    leases: leases.size,
    unrouted: front.unrouted,
    visitors: gate.size,
    waiting: gate.waiting,
    tickets: tickets.size,
    flows: datagrams.flows,
    hops: hops.size,
    hopBytes: hops.bytes,
    hopTickets: hops.tickets,
    peers: peers.size,
    knownPeers: peers.descriptors().length,
    dropped: datagrams.drops.counts(),
    refused: quotas.refusals.counts(),
    withoutDescriptor: descriptors.refused,
  });

  function deny(list: DenyList): void {
    denied.set(list);
    expel({ denied, sessions, hops, datagrams, leases });
    for (const holder of list.identities) {
      gate.closeOf(holder);
      hops.closeOf(holder);
    }
  }

  function allow(list: DenyList): void {
    denied.allow(list);
    expel({ denied, sessions, hops, datagrams, leases });
  }

  let closing: Promise<void> | undefined;
  async function close(drainMs: number): Promise<void> {
    stopping = true;
    stopUpkeep();
    domainWatch.close();
    peers.close();
    await shutDown(
      { front, leases, datagrams, gate, hops, sessions, tickets, http, store, directory, log },
      drainMs,
    );
    log.info({ url }, 'relay closed');
  }

  return {
    url,
    domain,
    port,
    addresses: hosts.map(({ host }) => ({ host, port })),
    httpRedirect: redirect,
    publicPort,
    address: identity.address,
    get descriptor() {
      return own.current;
    },
    counts,
    problem,
    stats: () => ({
      ...counts(),
      certificateEndsAt,
      ...readStats({ leases, gate, datagrams, store, tallies, denied, agents }),
    }),
    deny,
    allow,
    reserveLabels: (list) => labels.set(list),
    serveCertificate: (pair) => {
      http.serveCertificate(pair);
      certificateEndsAt = endOf(pair);
    },
    close: ({ drainMs = 0 } = {}) => {
      // A second call may shorten the drain.
      if (closing) void Promise.all([gate.drain({ ms: drainMs }), hops.drain({ ms: drainMs })]);
      return (closing ??= close(drainMs));
    },
  };
}

/** Expiry of the certificate, in milliseconds since the epoch. */
function endOf({ cert }: KeyPair): number {
  return Date.parse(new X509Certificate(cert).validTo);
}
