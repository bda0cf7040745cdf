import { isIP, type Socket } from 'node:net';
import pRetry from 'p-retry';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { deferred, within, type Deferred } from '../../lib/wait.js';
import { resetSocket } from '../../net/splice/reset.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromRelay, WireCarrier } from '../../protocol/messages.js';
import type { RelayEndpoint } from '../session/relay-endpoint.js';
import type { ControlChannel } from '../session/control.js';
import { openData, startByLine } from './data.js';
import { KeptConnections } from './kept-connections.js';
import type { DataConnection, SharedConnection } from './data-connection.js';
import type { AgentLease } from '../lease/lease.js';
import { Resumption } from './resumption.js';

type Visit = FromRelay<'visit'>;

/** Limit of connections that are opening, idle, or waiting for their notice. */
const MAX_CONNECTIONS = LIMITS.maxDataConnectionsAhead;
const STARTS_A_TURN = 16;
/**
 * A data connection that fails to open is retried while a visitor waits for it. The network may recover in a moment, and the
 * relay requests no other connection while the ticket is valid.
 */
const REDIAL = {
  minTimeout: LIMITS.minRedialMs,
  maxTimeout: 1_000,
  factor: 2,
  randomize: true,
  retries: Infinity,
  maxRetryTime: LIMITS.visitorWaitMs,
} as const;

/** An opening or idle data connection, and the notice of its visitor once it has arrived. */
interface Pending {
  readonly notice: Deferred<Visit>;
  readonly stop: AbortController;
  isNoticed: boolean;
}

/**
 * The data connections of one control channel. Opens the connections that the relay requests, and matches each started one
 * with its `visit`. Idle connections end with the channel; a visitor's connection outlives it.
 */
export class DataConnections {
  readonly #channel: ControlChannel;
  readonly #endpoint: RelayEndpoint;
  readonly #log: Logger;
  readonly #leaseById: (id: string) => AgentLease | undefined;
  /** The notice of a visit and the start byte take different paths, so they arrive in any order. */
  readonly #pending = new Map<string, Pending>();
  /** The lease of each visitor whose data connection has not started yet, by connection. */
  readonly #announced = new Map<string, string>();
  /** Requested connections that have not started yet. */
  readonly #waiting: (() => void)[] = [];
  readonly #resumption = new Resumption();
  readonly #kept = new KeptConnections();
  #isStarting = false;
  #isClosed = false;

  constructor(
    channel: ControlChannel,
    endpoint: RelayEndpoint,
    log: Logger,
    leaseById: (id: string) => AgentLease | undefined,
  ) {
    this.#channel = channel;
    this.#endpoint = endpoint;
    this.#log = log;
    this.#leaseById = leaseById;
    channel.on('dial', (dial) => this.#dial(dial));
    channel.on('visit', (visit) => {
      const pending = this.#pending.get(visit.connection);
      if (!pending) return;
      pending.isNoticed = true;
      this.#announced.set(visit.connection, visit.lease);
      pending.notice.resolve(visit);
    });
  }

  /** Whether a visitor of the lease was announced whose data connection has not started yet. */
  isArriving(lease: string): boolean {
    return [...this.#announced.values()].includes(lease);
  }

  /** Ends connections without an announced visitor. A connection with an announced visitor may still start. */
  close(): void {
    this.#isClosed = true;
    this.#kept.close();
    for (const { stop, isNoticed } of this.#pending.values()) {
      if (!isNoticed) stop.abort();
      else setTimeout(() => stop.abort(), LIMITS.visitNoticeMs).unref();
    }
  }

  #dial({ carrier, tickets }: FromRelay<'dial'>): void {
    for (const { connection, ticket } of tickets) {
      // In a chain, a visitor's traffic must not pass other relays in the clear, whatever the last relay requests.
      if (carrier === 'raw' && this.#endpoint.via?.hides) continue;
      // A relay that exceeds the limit gets no more connections.
      if (this.#pending.size >= MAX_CONNECTIONS || this.#pending.has(connection)) continue;
      const pending = { notice: deferred<Visit>(), stop: new AbortController(), isNoticed: false };
      this.#pending.set(connection, pending);
      this.#waiting.push(() => {
        this.#serve(carrier, ticket, pending)
          .catch((error: unknown) => {
            if (!this.#isClosed)
              this.#log.debug({ code: asPortalError(error).code, err: error }, 'data connection ended');
          })
          .finally(() => {
            this.#pending.delete(connection);
            // The lease has the visitor in the next turn.
            setImmediate(() => this.#announced.delete(connection));
          });
      });
    }
    if (!this.#isStarting) this.#startSoon();
  }

  #startSoon(): void {
    this.#isStarting = true;
    setImmediate(() => this.#startSome());
  }

  /** Starts a few per turn, so that the first connections progress before the last ones start. */
  #startSome(): void {
    for (const start of this.#waiting.splice(0, STARTS_A_TURN)) start();
    this.#isStarting = false;
    if (this.#waiting.length > 0) this.#startSoon();
  }

  async #serve(carrier: WireCarrier, ticket: string, { notice, stop: { signal } }: Pending): Promise<void> {
    const socket =
      (await this.#startedAgain(carrier, ticket, signal)) ?? (await this.#opened(carrier, ticket, signal));
    await this.#meet(notice.promise, socket, signal);
  }

  /** Shows the ticket on a kept connection. Resolves with undefined without one, or if it ends before the relay can respond. */
  async #startedAgain(
    carrier: WireCarrier,
    ticket: string,
    signal: AbortSignal,
  ): Promise<Socket | undefined> {
    const kept = this.#kept.take(carrier, ticket);
    if (!kept) return undefined;
    const shownAt = performance.now();
    try {
      kept.show(ticket);
      return await kept.started(signal);
    } catch (error) {
      // The relay may not have received the ticket, and requests no other connection while the ticket is valid.
      if (signal.aborted || performance.now() - shownAt > LIMITS.visitorWaitMs) throw error;
      return undefined;
    }
  }

  /** Opens a connection. Resolves once the relay has started it. */
  async #opened(carrier: WireCarrier, ticket: string, signal: AbortSignal): Promise<Socket> {
    const dial = {
      endpoint: this.#endpoint,
      relayAddress: this.#channel.relayAddress,
      carrier,
      ticket,
      signal,
      resumption: this.#resumption,
      onFree: (connection: SharedConnection) => this.#kept.add(carrier, connection),
    };
    // Through a proxy, the agent sends the upgrade: a proxy may read what it forwards, and let only TLS and HTTP pass.
    let byLine = carrier === 'raw' && this.#channel.welcome.ticketLine === true && !this.#endpoint.via;
    const connection = await pRetry<DataConnection | Socket>(
      () => (byLine ? startByLine(dial) : openData(dial)),
      {
        ...REDIAL,
        signal,
        // The relay itself rejected the ticket.
        shouldRetry: ({ error }) => asPortalError(error).code !== 'expired',
        // A network may let only HTTP pass.
        onFailedAttempt: () => void (byLine = false),
      },
    );
    return 'started' in connection ? connection.started(signal) : connection;
  }

  async #meet(notice: Promise<Visit>, socket: Socket, signal: AbortSignal): Promise<void> {
    try {
      const visit = await within(notice, LIMITS.visitNoticeMs, 'the notice of a visit', signal);
      // Targets and gates receive the address. An honest relay always sends a plain one.
      if (!isPlainAddress(visit.remote.address))
        throw new PortalError('protocol', 'the address of a visitor is not an IP address');
      // The visit may arrive together with the response to `lease.open`, which takes longer to reach its lease.
      if (!this.#leaseById(visit.lease)) await new Promise(setImmediate);
      const lease = this.#leaseById(visit.lease);
      if (lease) lease.visit(socket, visit.remote);
      else resetSocket(socket);
    } catch (error) {
      // To the visitor, a clean close would look like the service's.
      resetSocket(socket);
      throw error;
    }
  }
}

/** An IP address without a zone, as docs/reference/protocol.md requires. */
function isPlainAddress(address: string): boolean {
  return isIP(address) !== 0 && !address.includes('%');
}
