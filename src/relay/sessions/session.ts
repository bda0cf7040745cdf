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
import type { LeaseRegistry } from '../leases/leases.js';
import type { Forwarding } from '../nodes/forwarding.js';
import type { RemoteSessions } from '../nodes/remote-sessions.js';
import type { PublicPorts } from '../leases/ports.js';
import { ControlChannel } from './control-channel.js';
import { LeaseNotices } from './lease-notices.js';
import { openedOf, welcomeOf } from './session-messages.js';
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
  readonly silentDataMs: number;
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
  readonly #channel: ControlChannel;
  readonly #socket: TLSSocket;
  readonly #admission: Admission;
  readonly #context: SessionContext;
  /** Its data connections at this node. */
  readonly pool: DataPool;
  readonly datagrams: DatagramLink;
  #log: Logger;
  #state: 'handshake' | 'open' | 'closed' = 'handshake';
  readonly #handshake: Handshake;
  #understandsDrain = false;
  #isDraining = false;
  /** Defined once the session is open. */
  #notices: LeaseNotices | undefined;
  readonly #visits = new HeldVisits((message) => this.#channel.send(message));

  /** `socket` is the TLS session below `ws`. Keys of datagrams are derived from it. */
  constructor(ws: WebSocket, socket: TLSSocket, context: SessionContext, admission: Admission) {
    this.#admission = admission;
    this.#socket = socket;
    this.#context = context;
    this.remoteAddress = clientOf(socket).address;
    this.#log = context.log.child({ session: this.id, address: this.remoteAddress ?? '' });
    this.#channel = new ControlChannel(ws, {
      onMessage: (message) => this.#handle(message),
      onInvalid: (error) => this.#fail(error),
      onClosed: () => this.#closed(),
      log: () => this.#log,
    });
    this.pool = new DataPool({
      session: { node: context.node, session: this.id },
      tickets: context.tickets,
      gate: context.gate,
      send: (message) => this.#visits.send(message),
      idleDataConnectionMs: context.idleDataConnectionMs,
      silentDataMs: context.silentDataMs,
      ...(context.forwarding && { onStarved: (lease, node) => this.#forwardAll(lease, node) }),
    });
    this.datagrams = context.datagrams.link((exporterContext) => exportDatagramKey(socket, exporterContext));
    this.#handshake = new Handshake(socket, context, admission.work, {
      onHello: () => admission.onHello(),
      onProven: (hello) => this.#welcome(hello),
      onFailed: (error) => this.#fail(error),
      send: (message) => this.#channel.send(message),
    });
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
    return this.#channel.silentMs;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Time (`performance.now()`) since when its handshake waits for the client; undefined while the client waits for the relay. */
  get waitingSince(): number | undefined {
    return this.#handshake.waitingSince;
  }

  async alive(ms: number): Promise<boolean> {
    return this.open && this.#channel.responds(ms);
  }

  gaveUp(lease: LocalLease): void {
    this.#notices?.gaveUp(lease);
  }

  replicasChanged(lease: LocalLease): void {
    this.#notices?.replicasChanged(lease);
  }

  revoked(lease: LocalLease, reason: string): void {
    this.pool.forget(lease);
    this.#notices?.forget(lease);
    this.#visits.forget(lease.record.id);
    const { record } = lease;
    const tell = (): void => this.#channel.send({ type: 'lease.revoked', lease: record.id, reason });
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
    this.#channel.send({ type: 'drain', reason, reconnectAfterMs });
  }

  /** Tells the agent to reconnect later, and closes. Ignores later messages. */
  announceShutdown(reason: string, reconnectAfterMs: number): void {
    if (this.open) this.#channel.send({ type: 'goaway', reason, reconnectAfterMs });
    this.#channel.goAway();
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
    this.#channel.terminate();
  }

  /** Forwards the visitors of a lease to the node where its data connections arrive. */
  #forwardAll(lease: LocalLease, node: string): void {
    this.#context.forwarding?.forwardAll(lease, [node], (carrier) => this.pool.forwardFailed(carrier));
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
    const { understands = [] } = hello;
    this.#understandsDrain = understands.includes('drain');
    this.#notices = new LeaseNotices(
      understands,
      (place) => this.#context.leases.recordsAt(place),
      (notice) => this.#channel.send(notice),
    );
    this.#log.info({ version: this.version }, 'session open');
    this.#context.tallies.sessionsOpened++;
    this.#context.agents.joined(this);
    this.#channel.send(welcomeOf(this.id, this.#context));
    this.#channel.startHeartbeat(this.#context.heartbeatMs);
    this.#admission.onOpen();
  }

  async #request(message: Exclude<FromAgent, FromAgent<'hello' | 'prove'>>): Promise<void> {
    this.#channel.requestBegan();
    const opens = message.type === 'lease.open';
    if (opens) this.#visits.opening();
    let opened: string | undefined;
    try {
      const response = await this.#responseTo(message);
      this.#channel.send(response);
      if (response.type === 'lease.opened') opened = response.lease;
      // After the response, so that the agent knows the lease before its first visitor arrives.
      if (message.type === 'lease.open' && message.mode !== 'udp') this.pool.warm(message.carrier);
    } catch (error) {
      const failure = asPortalError(error);
      this.#context.tallies.requestsFailed.add(failure.code);
      if (!isOnWire(failure)) this.#log.error({ err: error }, 'request failed');
      this.#channel.send({ type: 'error', id: message.id, ...wireError(failure) });
    } finally {
      if (opens) this.#visits.answered(opened);
      this.#channel.requestEnded();
    }
  }

  async #responseTo(message: Exclude<FromAgent, FromAgent<'hello' | 'prove'>>): Promise<FromRelay> {
    const { leases } = this.#context;
    const { id } = message;
    if (message.type === 'lease.open') {
      const lease = await leases.open(this, message);
      // Reports visitors that nobody could serve while the agent was disconnected.
      this.#notices?.gaveUp(lease);
      const opened = openedOf(id, lease.record, this.#context);
      this.#log.info(
        { hostname: opened.hostname, ...publicAddressOf(lease.record, this.#context) },
        'lease open',
      );
      return opened;
    }
    if (message.type === 'hop.open') return this.#context.hops.issue(this, message, this.#socket);
    if (message.type === 'datagrams.open') return this.#context.datagrams.open(message, this.datagrams);
    if (message.type === 'report') this.#context.agents.report(this, message);
    else if (message.type === 'lease.close') {
      // After the response, the agent serves only visitors that were announced before.
      await leases.close(this, message.lease, message.waitMs);
      this.#visits.forget(message.lease);
    } else if (message.type === 'lease.replica') await leases.setReplica(this, message.lease, message);
    else leases.update(this, message.lease, message.metadata);
    return { type: 'ok', id };
  }

  #fail(error: PortalError): void {
    this.#log.info({ code: error.code, reason: error.message }, 'control channel rejected');
    this.#context.tallies.channelsFailed.add(error.code);
    this.#channel.reject(error);
    this.#closed();
  }

  #closed(): void {
    if (this.closed) return;
    const wasOpen = this.open;
    this.#state = 'closed';
    this.#notices?.close();
    this.#handshake.close();
    this.#channel.close();
    this.pool.close();
    this.#context.datagrams.forget(this.datagrams);
    this.#context.hops.forget(this);
    this.#context.leases.detach(this);
    this.#context.agents.left(this);
    this.#context.quotas.closeSession(this);
    if (wasOpen) this.#log.info({}, 'session closed');
  }
}
