import type { Logger } from '../../lib/logger.js';
import { DataConnections } from '../data/connections.js';
import type { ControlChannel } from './control.js';
import { AgentDatagrams } from '../datagrams/datagrams.js';
import { HopTunnel } from './hop-tunnel.js';
import type { AgentLease } from '../lease/lease.js';
import type { RelayEndpoint } from './relay-endpoint.js';

export interface OpenSessionOptions {
  readonly channel: ControlChannel;
  readonly endpoint: RelayEndpoint;
  /** The lease of the agent with an id of the relay. */
  readonly leaseById: (id: string) => AgentLease | undefined;
  /** Called when datagrams fall back to a WebSocket. */
  readonly onFallback: (() => void) | undefined;
  readonly log: Logger;
}

/** A session while it is open, from `welcome` to its end: the control channel, and the connections that belong to it. */
export class OpenSession {
  readonly channel: ControlChannel;
  readonly datagrams: AgentDatagrams;
  /** Opens connections through this relay to others. */
  readonly tunnel: HopTunnel;
  readonly #connections: DataConnections;

  constructor({ channel, endpoint, leaseById, onFallback, log }: OpenSessionOptions) {
    this.channel = channel;
    this.datagrams = new AgentDatagrams(channel, endpoint, log, onFallback);
    this.tunnel = new HopTunnel(channel, endpoint);
    this.#connections = new DataConnections(channel, endpoint, log, leaseById);
    channel.once('closed', () => this.#end());
    if (channel.closed) this.#end();
  }

  /** Whether no request waits for a reply, and no connection through the tunnel is being opened. */
  get isIdle(): boolean {
    return this.channel.isIdle && this.tunnel.isIdle;
  }

  /** Whether the relay announced a visitor of the lease whose data connection has not started yet. */
  isArriving(lease: string): boolean {
    return this.#connections.isArriving(lease);
  }

  /** Connected visitors stay. */
  #end(): void {
    this.#connections.close();
    this.datagrams.close();
  }
}
