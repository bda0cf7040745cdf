import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { deferred, within, type Deferred } from '../lib/wait.js';
import { LIMITS } from '../protocol/limits.js';
import type { FromRelay } from '../protocol/messages.js';
import type { RelayEndpoint } from './relay-way.js';
import type { ControlChannel } from './control.js';
import { dialData } from './data.js';
import type { AgentLease } from './lease.js';

type Visit = FromRelay<'visit'>;

/** Dialled, idle, or waiting for their notice, at a time. */
const MAX_CONNECTIONS = LIMITS.maxDataConnectionsAhead;

/**
 * The data connections of one control channel: opens those the relay asks for, and brings each started one
 * together with its `visit`. Idle ones end with the channel; a visitor's connection outlives it.
 */
export class DataConnections {
  readonly #channel: ControlChannel;
  readonly #endpoint: RelayEndpoint;
  readonly #log: Logger;
  readonly #leaseById: (id: string) => AgentLease | undefined;
  readonly #idle = new AbortController();
  /**
   * One per connection that is dialled or idle. Control channel and data connection are two paths, so the
   * notice of a visit and the start byte come in either order.
   */
  readonly #notices = new Map<string, Deferred<Visit>>();

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
    // One listener an idle connection, and there are many: no leak.
    setMaxListeners(0, this.#idle.signal);
    channel.on('dial', (dial) => this.#dial(dial));
    channel.on('visit', (visit) => this.#notices.get(visit.connection)?.resolve(visit));
  }

  close(): void {
    this.#idle.abort();
  }

  #dial({ carrier, tickets }: FromRelay<'dial'>): void {
    for (const { connection, ticket } of tickets) {
      // In a chain what a visitor asks for must not pass other relays in the clear, whatever its relay wants.
      if (carrier === 'raw' && this.#endpoint.detour?.hides) continue;
      // A relay that asks for more than it may only fails to get it.
      if (this.#notices.size >= MAX_CONNECTIONS || this.#notices.has(connection)) continue;
      const notice = deferred<Visit>();
      this.#notices.set(connection, notice);
      const socket = dialData({
        endpoint: this.#endpoint,
        relayAddress: this.#channel.relayAddress,
        carrier,
        ticket,
        signal: this.#idle.signal,
      });
      socket
        .then((started) => this.#meet(notice.promise, started))
        .catch((error: unknown) => {
          if (!this.#idle.signal.aborted)
            this.#log.debug({ code: asPortalError(error).code, err: error }, 'data connection ended');
        })
        .finally(() => this.#notices.delete(connection));
    }
  }

  async #meet(notice: Promise<Visit>, socket: Socket): Promise<void> {
    try {
      const visit = await within(notice, LIMITS.visitNoticeMs, 'the notice of a visit');
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
