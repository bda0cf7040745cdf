import { clientOf } from '../../net/client-address.js';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { socketBelow } from '../../net/splice/reset.js';
import { checksumAddress } from '../../identity/keys.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { exportDatagramKey } from '../../protocol/datagrams/exporter.js';
import { decodeFromAgent, encode } from '../../protocol/decode.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import type { Work } from '../../protocol/work.js';
import { publicAddressOf } from '../addresses.js';
import type { Agents } from '../agents/agents.js';
import { DataPool } from '../data/data.js';
import type { Datagrams } from '../datagrams/datagrams.js';
import type { DatagramLink } from '../datagrams/link.js';
import type { AccessLists } from '../protection/access-lists.js';
import { Handshake, type HandshakeContext } from './handshake.js';
import { HeldVisits } from '../data/held-visits.js';
import type { Hops } from '../hops/hops.js';
import type { LocalLease, OwnHolder } from '../leases/lease.js';
import { ReplicaNotices } from '../leases/replica-notices.js';
import { UnservedNotices } from '../visitors/unserved.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { Forwarding } from '../nodes/forwarding.js';
import type { RemoteSessions } from '../nodes/remote-sessions.js';
import type { PublicPorts } from '../leases/ports.js';
import { Liveness } from './liveness.js';
import type { Quotas } from '../protection/quotas.js';
import type { Tallies } from '../tallies.js';
import type { DataTickets } from '../tickets/data-tickets.js';
import type { VisitorGate } from '../visitors/visitors.js';
import { isOnWire, wireError } from './wire-error.js';

/** What sessions need from their relay. */
export interface SessionContext extends HandshakeContext {
  /** The name of this node. */
  readonly node: string;
  readonly domain: string;
  readonly publicPort: number;
  /** UDP port for agents, as agents see it. */
  readonly datagramPort: number | undefined;
  readonly capabilities: readonly string[];
  readonly carriers: readonly string[];
  readonly heartbeatMs: number;
  readonly idleDataConnectionMs: number;
  readonly leases: LeaseRegistry;
  readonly remote: Pick<RemoteSessions, 'noMoreVisits'>;
  readonly forwarding: Pick<Forwarding, 'forwardAll'> | undefined;
  readonly ports: Pick<PublicPorts, 'rangeOf'>;
  readonly agents: Agents;
  readonly denied: AccessLists;
  readonly quotas: Quotas;
  readonly tallies: Tallies;
  readonly tickets: DataTickets;
  readonly gate: VisitorGate;
  readonly datagrams: Datagrams;
  readonly hops: Hops;
  readonly log: Logger;
}

/** How a control channel becomes a session. */
export interface Admission {
  /** The proof of work that the client must do before the relay signs. */
  readonly work: Work | undefined;
  /** Called at a valid hello. Throws if there is no room for another handshake. */
  readonly onHello: () => void;
  /** Called once, when the identity is proven. */
  readonly onOpen: () => void;
}

/** WebSocket close codes (RFC 6455 §7.4.1). The reason is one of our error codes. */
const CLOSE = { goingAway: 1001, protocol: 1002, refused: 1008, fault: 1011 } as const;

/**
 * One control channel, from the opening of its WebSocket to its end. Leases refer to the session object that holds them,
 * so messages and the close of an old session never affect a newer session of the same agent.
 */
export class Session implements OwnHolder {
  readonly id = randomUUID();
  address = '';
  /** IP address of its agent, as the relay sees it. */
  readonly remoteAddress: string | undefined;
  instance = '';
  version = '';
  readonly #ws: WebSocket;
  readonly #socket: TLSSocket;
  readonly #admission: Admission;
  readonly #context: SessionContext;
  /** Its data connections at this node. */
  readonly pool: DataPool;
  readonly datagrams: DatagramLink;
  #log: Logger;
  #state: 'handshake' | 'open' | 'closed' = 'handshake';
  readonly #handshake: Handshake;
  readonly #liveness: Liveness;
  #understandsDrain = false;
  #isDraining = false;
  /** Defined if the agent understands `lease.unserved`. */
  #notices: UnservedNotices | undefined;
  /** Defined if the agent understands `lease.replicas`. */
  #replicaNotices: ReplicaNotices | undefined;
  readonly #visits = new HeldVisits((message) => this.#send(message));
  #requests = 0;

  /** `socket` is the TLS session below `ws`. Keys of datagrams are derived from it. */
  constructor(ws: WebSocket, socket: TLSSocket, context: SessionContext, admission: Admission) {
    this.#admission = admission;
    this.#ws = ws;
    this.#socket = socket;
    this.#context = context;
    this.remoteAddress = clientOf(socket).address;
    this.#log = context.log.child({ session: this.id, address: this.remoteAddress ?? '' });
    this.pool = new DataPool({
      session: { node: context.node, session: this.id },
      tickets: context.tickets,
      gate: context.gate,
      send: (message) => this.#visits.send(message),
      idleDataConnectionMs: context.idleDataConnectionMs,
      ...(context.forwarding && { onStarved: (lease, node) => this.#forwardAll(lease, node) }),
    });
    this.datagrams = context.datagrams.link((exporterContext) => exportDatagramKey(socket, exporterContext));
    this.#handshake = new Handshake(socket, context, admission.work, {
      onHello: () => admission.onHello(),
      onProven: (hello) => this.#welcome(hello),
      onFailed: (error) => this.#fail(error),
      send: (message) => this.#send(message),
    });
    this.#liveness = new Liveness(ws);
    ws.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
    ws.on('error', (error) => this.#log.debug({ err: error }, 'control channel error'));
    ws.on('close', () => this.#closed());
  }

  /** The TCP connection below TLS. */
  get connection(): Socket | undefined {
    return socketBelow(this.#socket);
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Milliseconds since the last data from the agent. */
  get silentMs(): number {
    return this.#liveness.silentMs;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Time (`performance.now()`) since when its handshake waits for the client; undefined while the client waits for the relay. */
  get waitingSince(): number | undefined {
    return this.#handshake.waitingSince;
  }

  async alive(ms: number): Promise<boolean> {
    return this.open && this.#liveness.responds(ms);
  }

  gaveUp(lease: LocalLease): void {
    this.#notices?.add(lease);
  }

  replicasChanged(lease: LocalLease): void {
    this.#replicaNotices?.add(lease);
  }

  revoked(lease: LocalLease, reason: string): void {
    this.pool.forget(lease);
    this.#replicaNotices?.forget(lease);
    this.#notices?.forget(lease);
    this.#visits.forget(lease.record.id);
    const { record } = lease;
    const tell = (): void => this.#send({ type: 'lease.revoked', lease: record.id, reason });
    // Once the agent knows, it ends this session.
    if (this.#isDraining) void this.#context.remote.noMoreVisits(record, LIMITS.drainLingerMs).then(tell);
    else tell();
  }

  serve(lease: LocalLease): void {
    this.pool.serve(lease);
  }

  /** Whether the agent was told to open another session, and has not ended this one yet. */
  get draining(): boolean {
    return this.#isDraining && this.open;
  }

  /** Tells the agent to open another session, and to move its leases there, if it understands that. */
  drain(reason: string, reconnectAfterMs: number): void {
    if (!this.open || !this.#understandsDrain) return;
    this.#isDraining = true;
    this.#send({ type: 'drain', reason, reconnectAfterMs });
  }

  /** Tells the agent to reconnect later, and closes. Ignores later messages. */
  announceShutdown(reason: string, reconnectAfterMs: number): void {
    if (this.open) this.#send({ type: 'goaway', reason, reconnectAfterMs });
    this.#ws.close(CLOSE.goingAway, 'shutting_down');
    this.#closed();
  }

  /** Sends `error` to the agent and closes the channel. */
  refuse(error: PortalError): void {
    if (!this.closed) this.#fail(error);
  }

  /** Ends this handshake to make room for another one. Does not wait until the client reads the error. */
  evict(): void {
    this.refuse(
      new PortalError('relay_busy', 'this relay has too many open handshakes (maxHandshakes)', {
        retryAfterMs: LIMITS.handshakeShareMs,
      }),
    );
    this.terminate();
  }

  /** Sends a message about a data connection that another node has, or will have. */
  forward(message: FromRelay<'dial' | 'visit'>): void {
    if (this.open) this.#visits.send(message);
  }

  terminate(): void {
    this.#ws.terminate();
  }

  /** Forwards the visitors of a lease to the node where its data connections arrive. */
  #forwardAll(lease: LocalLease, node: string): void {
    this.#context.forwarding?.forwardAll(lease, [node], (carrier) => this.pool.forwardFailed(carrier));
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#liveness.heard();
    if (this.closed) return;
    let message: FromAgent;
    try {
      if (isBinary) throw new PortalError('protocol', 'control messages must be text');
      message = decodeFromAgent(data);
      this.#handle(message);
    } catch (error) {
      this.#fail(asPortalError(error));
    }
  }

  #handle(message: FromAgent): void {
    if (this.#state === 'handshake') this.#handshake.receive(message);
    else if (message.type === 'hello' || message.type === 'prove')
      throw new PortalError('protocol', `${message.type} is not allowed now`);
    else void this.#request(message);
  }

  /** Opens the session once the identity is proven. */
  #welcome(hello: FromAgent<'hello'>): void {
    // Leases and reservations compare addresses, so they need one spelling.
    this.address = checksumAddress(hello.address);
    this.instance = hello.agent.instance;
    this.version = hello.agent.version;
    this.#log = this.#log.child({ identity: this.address });
    this.#context.denied.checkAgent({ identity: this.address, address: this.remoteAddress });
    this.#context.agents.admit(this);
    this.#context.quotas.openSession(this);
    this.#state = 'open';
    this.#understandsDrain = hello.understands?.includes('drain') ?? false;
    if (hello.understands?.includes('lease.unserved'))
      this.#notices = new UnservedNotices((notice) => this.#send(notice));
    if (hello.understands?.includes('lease.replicas'))
      this.#replicaNotices = new ReplicaNotices(
        (place) => this.#context.leases.recordsAt(place),
        (notice) => this.#send(notice),
      );
    this.#log.info({ version: this.version }, 'session open');
    this.#context.tallies.sessionsOpened++;
    this.#context.agents.joined(this);
    const { publicPort, datagramPort, capabilities, carriers, heartbeatMs } = this.#context;
    this.#send({
      type: 'welcome',
      session: this.id,
      publicPort,
      ...(datagramPort !== undefined && { datagramPort }),
      capabilities: [...capabilities],
      carriers: [...carriers],
      heartbeatMs,
      ticketLine: true,
    });
    this.#liveness.start(heartbeatMs, () => {
      this.#log.info({}, 'agent timed out');
      this.#ws.terminate();
    });
    this.#admission.onOpen();
  }

  async #request(message: Exclude<FromAgent, FromAgent<'hello' | 'prove'>>): Promise<void> {
    // If an agent sends requests faster than the relay responds, stop reading: TCP slows the agent down.
    if (++this.#requests === LIMITS.maxRequestsInFlight) this.#ws.pause();
    const opens = message.type === 'lease.open';
    if (opens) this.#visits.opening();
    let opened: string | undefined;
    try {
      const response = await this.#responseTo(message);
      this.#send(response);
      if (response.type === 'lease.opened') opened = response.lease;
      // After the response, so that the agent knows the lease before its first visitor arrives.
      if (message.type === 'lease.open' && message.mode !== 'udp') this.pool.warm(message.carrier);
    } catch (error) {
      const failure = asPortalError(error);
      this.#context.tallies.requestsFailed.add(failure.code);
      if (!isOnWire(failure)) this.#log.error({ err: error }, 'request failed');
      this.#send({ type: 'error', id: message.id, ...wireError(failure) });
    } finally {
      if (opens) this.#visits.answered(opened);
      if (this.#requests-- === LIMITS.maxRequestsInFlight) this.#ws.resume();
    }
  }

  async #responseTo(message: Exclude<FromAgent, FromAgent<'hello' | 'prove'>>): Promise<FromRelay> {
    const { leases } = this.#context;
    const { id } = message;
    if (message.type === 'lease.open') {
      const lease = await leases.open(this, message);
      // Reports visitors that nobody could serve while the agent was disconnected.
      this.#notices?.add(lease);
      const { hostname, kind } = lease.record;
      const ports = kind === 'tls' ? undefined : this.#context.ports.rangeOf(kind);
      const address = publicAddressOf(lease.record, this.#context);
      this.#log.info({ hostname, ...address }, 'lease open');
      return {
        type: 'lease.opened',
        id,
        lease: lease.record.id,
        hostname,
        ...address,
        ...(ports && { ports }),
      };
    }
    if (message.type === 'hop.open') return this.#context.hops.issue(this, message, this.#socket);
    if (message.type === 'datagrams.open') return this.#context.datagrams.open(message, this.datagrams);
    if (message.type === 'report') this.#context.agents.report(this, message);
    else if (message.type === 'lease.close') {
      // After the response, the agent serves only visitors that were announced before.
      await leases.close(this, message.lease);
      this.#visits.forget(message.lease);
    } else if (message.type === 'lease.replica')
      leases.setReplica(this, message.lease, replicaChangesOf(message));
    else leases.update(this, message.lease, message.metadata);
    return { type: 'ok', id };
  }

  #send(message: FromRelay): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (this.#ws.bufferedAmount > LIMITS.maxControlBacklogBytes) {
      this.#log.warn({}, 'agent does not read its control channel');
      this.#ws.terminate();
      return;
    }
    this.#ws.send(encode(message));
  }

  #fail(error: PortalError): void {
    this.#log.info({ code: error.code, reason: error.message }, 'control channel rejected');
    this.#context.tallies.channelsFailed.add(error.code);
    const wire = wireError(error);
    const { code } = wire;
    this.#send({ type: 'error', ...wire });
    const close = code === 'protocol' ? 'protocol' : code === 'internal' ? 'fault' : 'refused';
    this.#ws.close(CLOSE[close], code);
    this.#closed();
  }

  #closed(): void {
    if (this.closed) return;
    const wasOpen = this.open;
    this.#state = 'closed';
    this.#notices?.close();
    this.#replicaNotices?.close();
    this.#handshake.close();
    this.#liveness.close();
    this.pool.close();
    this.#context.datagrams.forget(this.datagrams);
    this.#context.hops.forget(this);
    this.#context.leases.detach(this);
    this.#context.agents.left(this);
    this.#context.quotas.closeSession(this);
    if (wasOpen) this.#log.info({}, 'session closed');
  }
}

/** The fields of the message that are there. */
function replicaChangesOf({ healthy, probing, validating }: FromAgent<'lease.replica'>) {
  return {
    ...(healthy !== undefined && { healthy }),
    ...(probing !== undefined && { probing }),
    ...(validating !== undefined && { validating }),
  };
}
