import { isIP, type Socket } from 'node:net';
import pRetry from 'p-retry';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { deferred, within, type Deferred } from '../lib/wait.js';
import { LIMITS } from '../protocol/limits.js';
import type { FromRelay, WireCarrier } from '../protocol/messages.js';
import type { RelayEndpoint } from './relay-way.js';
import type { ControlChannel } from './control.js';
import { openData, started } from './data.js';
import type { AgentLease } from './lease.js';
import { Resumption } from './resumption.js';

type Visit = FromRelay<'visit'>;

/** Dialled, idle, or waiting for their notice, at a time. */
const MAX_CONNECTIONS = LIMITS.maxDataConnectionsAhead;
const STARTS_A_TURN = 16;
/**
 * One that could not be opened is opened again for as long as a visitor waits for it: the way there may be back in a
 * moment, and the relay asks for no other while the ticket is good.
 */
const REDIAL = {
  minTimeout: LIMITS.minRedialMs,
  maxTimeout: 1_000,
  factor: 2,
  randomize: true,
  retries: Infinity,
  maxRetryTime: LIMITS.visitorWaitMs,
} as const;

/** A data connection that is dialled or idle, and the notice of its visitor, once there is one. */
interface Pending {
  readonly notice: Deferred<Visit>;
  readonly stop: AbortController;
  isNoticed: boolean;
}

/**
 * The data connections of one control channel: opens those the relay asks for, and brings each started one
 * together with its `visit`. Idle ones end with the channel; a visitor's connection outlives it.
 */
export class DataConnections {
  readonly #channel: ControlChannel;
  readonly #endpoint: RelayEndpoint;
  readonly #log: Logger;
  readonly #leaseById: (id: string) => AgentLease | undefined;
  /** Control channel and data connection are two paths, so the notice of a visit and the start byte come in either order. */
  readonly #pending = new Map<string, Pending>();
  /** Asked for and not begun. */
  readonly #waiting: (() => void)[] = [];
  readonly #resumption = new Resumption();
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
      pending.notice.resolve(visit);
    });
  }

  /** Ends those that no visitor is on the way on; one whose visitor was told of may still be started. */
  close(): void {
    this.#isClosed = true;
    for (const { stop, isNoticed } of this.#pending.values()) {
      if (!isNoticed) stop.abort();
      else setTimeout(() => stop.abort(), LIMITS.visitNoticeMs).unref();
    }
  }

  #dial({ carrier, tickets }: FromRelay<'dial'>): void {
    for (const { connection, ticket } of tickets) {
      // In a chain what a visitor asks for must not pass other relays in the clear, whatever its relay wants.
      if (carrier === 'raw' && this.#endpoint.detour?.hides) continue;
      // A relay that asks for more than it may only fails to get it.
      if (this.#pending.size >= MAX_CONNECTIONS || this.#pending.has(connection)) continue;
      const pending = { notice: deferred<Visit>(), stop: new AbortController(), isNoticed: false };
      this.#pending.set(connection, pending);
      this.#waiting.push(() => {
        this.#serve(carrier, ticket, pending)
          .catch((error: unknown) => {
            if (!this.#isClosed)
              this.#log.debug({ code: asPortalError(error).code, err: error }, 'data connection ended');
          })
          .finally(() => this.#pending.delete(connection));
      });
    }
    if (!this.#isStarting) this.#startSoon();
  }

  #startSoon(): void {
    this.#isStarting = true;
    setImmediate(() => this.#startSome());
  }

  /** A few each turn: in between those that were begun get on, so that the first of a crowd need not wait for the last. */
  #startSome(): void {
    for (const start of this.#waiting.splice(0, STARTS_A_TURN)) start();
    this.#isStarting = false;
    if (this.#waiting.length > 0) this.#startSoon();
  }

  async #serve(carrier: WireCarrier, ticket: string, { notice, stop: { signal } }: Pending): Promise<void> {
    const dial = {
      endpoint: this.#endpoint,
      relayAddress: this.#channel.relayAddress,
      carrier,
      ticket,
      signal,
      resumption: this.#resumption,
    };
    const socket = await pRetry(() => openData(dial), {
      ...REDIAL,
      signal,
      // The relay itself said no.
      shouldRetry: ({ error }) => asPortalError(error).code !== 'expired',
    });
    await this.#meet(notice.promise, await started(socket, signal));
  }

  async #meet(notice: Promise<Visit>, socket: Socket): Promise<void> {
    try {
      const visit = await within(notice, LIMITS.visitNoticeMs, 'the notice of a visit');
      // Targets and gates are given it. An honest relay has none when the visitor left at once.
      if (!isPlainAddress(visit.remote.address))
        throw new PortalError('protocol', 'the address of a visitor is not an IP address');
      // A visitor may come in one breath with the answer to `lease.open`, which has a longer way to its lease.
      if (!this.#leaseById(visit.lease)) await new Promise(setImmediate);
      const lease = this.#leaseById(visit.lease);
      if (lease) lease.visit(socket, visit.remote);
      else socket.destroy();
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }
}

/** An IP address without a zone, as docs/reference/protocol.md has it. */
function isPlainAddress(address: string): boolean {
  return isIP(address) !== 0 && !address.includes('%');
}
