import { isDeepStrictEqual } from 'node:util';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromRelay } from '../../protocol/messages.js';
import { requestedCarrier } from '../capabilities.js';
import type { ControlChannel } from '../session/control.js';
import { wireMode, type ServiceSpec } from '../spec.js';
import type { PortRange, PublicAddress } from '../status.js';
import { offersReplicas } from './replica.js';
import { wantedPort } from './wanted-port.js';

/**
 * How long to wait until the relay confirms a close, beyond the wait of its visitors, and how long it may take to respond to a
 * ping meanwhile. Without a confirmation, the relay drops the lease after its grace period.
 */
const CLOSE_MS = 2_000;

export type Opened = FromRelay<'lease.opened'>;

/** Owns a lease as the relay holds it: requests, updates and releases it, and stores the relay's reply. */
export class HeldLease {
  readonly #relay: string;
  readonly #isHealthy: () => boolean;
  #opened: Opened | undefined;
  #publicPort: number | undefined;

  /**
   * @param relay the relay's key, as in `relayKey`
   * @param isHealthy whether visitors should come to this replica
   */
  constructor(relay: string, isHealthy: () => boolean) {
    this.#relay = relay;
    this.#isHealthy = isHealthy;
  }

  /** The relay's id of the lease, while it is open. */
  get id(): string | undefined {
    return this.#opened?.lease;
  }

  /** The public address from the relay: a URL or a port. */
  get address(): PublicAddress {
    if (!this.#opened) return {};
    const { url, tcpAddr, udpAddr } = this.#opened;
    return {
      ...(url !== undefined && { url }),
      ...(tcpAddr !== undefined && { tcpAddr }),
      ...(udpAddr !== undefined && { udpAddr }),
    };
  }

  /** The relay's range of public ports for the lease, if the relay said it. */
  get portRange(): PortRange | undefined {
    return this.#opened?.ports;
  }

  /** The lease's own public port, in modes that have one. Without a lease, the last one. */
  get publicPort(): number | undefined {
    return this.#publicPort;
  }

  /** The host of that port, if it differs from the relay's domain: the relay has several machines. */
  get publicHost(): string | undefined {
    const { hostname, tcpAddr, udpAddr } = this.#opened ?? {};
    const [, host] = /^\[?(.*?)\]?:\d+$/.exec(tcpAddr ?? udpAddr ?? '') ?? [];
    return host === undefined || hostname?.endsWith(`.${host}`) ? undefined : host;
  }

  /** Requests the lease, or refreshes a lease that is already held. */
  async ask(channel: ControlChannel, spec: ServiceSpec, log: Logger, signal?: AbortSignal): Promise<Opened> {
    const response = await channel.request(this.#openRequest(spec, channel), signal);
    if (response.type !== 'lease.opened')
      throw new PortalError('protocol', `unexpected reply ${response.type} to lease.open`);
    this.#opened = response;
    this.#publicPort = portOf(response.tcpAddr ?? response.udpAddr);
    const { port: asked } = spec;
    if (asked !== undefined && this.#publicPort !== undefined && asked !== this.#publicPort)
      log.warn({ asked, given: this.#publicPort }, 'the relay assigned a different port than requested');
    return response;
  }

  /** Sends changed settings to the relay. Rejects like `ask`. */
  async update(channel: ControlChannel, before: ServiceSpec, after: ServiceSpec, log: Logger): Promise<void> {
    if (!this.#opened) return;
    const { carrier, port, mode, metadata, replicas } = after;
    const isOther =
      carrier !== before.carrier ||
      port !== before.port ||
      replicas !== before.replicas ||
      wireMode(mode) !== wireMode(before.mode);
    if (isOther) await this.ask(channel, after, log);
    else if (!isDeepStrictEqual(metadata, before.metadata))
      await channel.request({ type: 'lease.update', lease: this.#opened.lease, metadata });
  }

  /**
   * Releases the lease, if there is a channel for that. Visitors that had connected to the relay may wait for their data
   * connections for up to `waitMs`. Resolves once the relay has announced the last one, with a timeout.
   */
  async release(channel: ControlChannel | undefined, log: Logger, waitMs = 0): Promise<void> {
    if (!this.#opened || !channel || channel.closed) return;
    const { lease } = this.#opened;
    const givenMs = Math.floor(Math.min(waitMs, LIMITS.requestMs - CLOSE_MS));
    const silent = new AbortController();
    void channel.isResponding(CLOSE_MS).then((isResponding) => !isResponding && silent.abort());
    const signal = AbortSignal.any([silent.signal, AbortSignal.timeout(givenMs + CLOSE_MS)]);
    try {
      await channel.request({ type: 'lease.close', lease, waitMs: givenMs }, signal);
    } catch (error) {
      // A relay that does not respond drops the lease after its grace period.
      log.debug({ err: error }, 'could not release the lease');
    }
  }

  /** The lease is no longer ours. */
  forget(): void {
    this.#opened = undefined;
  }

  #openRequest(spec: ServiceSpec, channel: ControlChannel) {
    const { name, mode, carrier, metadata, hostname, replicas } = spec;
    const port = wantedPort(this.#relay, spec, this.#publicPort);
    return {
      type: 'lease.open',
      name,
      mode: wireMode(mode),
      carrier: requestedCarrier(mode, carrier, channel.via?.hides ?? false),
      metadata: { ...metadata },
      ...(hostname !== undefined && { hostname }),
      ...(port !== undefined && { port }),
      ...(replicas &&
        offersReplicas(channel) && { replicas: { policy: replicas, healthy: this.#isHealthy() } }),
    } as const;
  }
}

function portOf(address: string | undefined): number | undefined {
  return address === undefined ? undefined : Number(address.slice(address.lastIndexOf(':') + 1));
}
