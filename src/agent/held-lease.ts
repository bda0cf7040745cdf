import { isDeepStrictEqual } from 'node:util';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { FromRelay } from '../protocol/messages.js';
import { carrierAsked } from './capabilities.js';
import type { ControlChannel } from './control.js';
import { kindOf, wireMode, type ServiceSpec } from './spec.js';
import type { PublicAddress } from './status.js';

/** A relay that does not confirm a close within this is left to find out by itself. */
const CLOSE_MS = 2_000;

export type Opened = FromRelay<'lease.opened'>;

/** What a relay holds for one of our leases: asked for, changed in place, given back. Owns what it answered. */
export class HeldLease {
  #opened: Opened | undefined;
  #publicPort: number | undefined;

  /** The relay's id of it, while it is open. */
  get id(): string | undefined {
    return this.#opened?.lease;
  }

  /** What the relay gave: a URL, or a public port. */
  get address(): PublicAddress {
    if (!this.#opened) return {};
    const { url, tcpAddr, udpAddr } = this.#opened;
    return {
      ...(url !== undefined && { url }),
      ...(tcpAddr !== undefined && { tcpAddr }),
      ...(udpAddr !== undefined && { udpAddr }),
    };
  }

  /** Its own public port, in the modes that have one; the last one it had, while it has none. */
  get publicPort(): number | undefined {
    return this.#publicPort;
  }

  /** Asks for it; of one that is held already, for what may have changed about it. */
  async ask(channel: ControlChannel, spec: ServiceSpec, log: Logger, signal?: AbortSignal): Promise<Opened> {
    const answer = await channel.request(
      openRequest(spec, this.#publicPort, channel.detour?.hides ?? false),
      signal,
    );
    if (answer.type !== 'lease.opened')
      throw new PortalError('protocol', `lease.open was answered with ${answer.type}`);
    this.#opened = answer;
    this.#publicPort = portOf(answer.tcpAddr ?? answer.udpAddr);
    const { port: asked } = spec;
    if (asked !== undefined && this.#publicPort !== undefined && asked !== this.#publicPort)
      log.warn({ asked, given: this.#publicPort }, 'the relay gave another port than the one asked for');
    return answer;
  }

  /** Tells the relay what of new settings is its concern. Resolves with whether the address is another now. */
  async update(
    channel: ControlChannel,
    before: ServiceSpec,
    after: ServiceSpec,
    log: Logger,
  ): Promise<boolean> {
    if (!this.#opened) return false;
    const { carrier, port, mode, metadata } = after;
    if (carrier !== before.carrier || port !== before.port || wireMode(mode) !== wireMode(before.mode)) {
      const { address } = this;
      await this.ask(channel, after, log);
      return !isDeepStrictEqual(this.address, address);
    }
    if (!isDeepStrictEqual(metadata, before.metadata))
      await channel.request({ type: 'lease.update', lease: this.#opened.lease, metadata });
    return false;
  }

  /** Gives it back, if there is a channel to say so on. */
  async giveBack(channel: ControlChannel | undefined, log: Logger): Promise<void> {
    if (!this.#opened || !channel || channel.closed) return;
    const { lease } = this.#opened;
    try {
      await channel.request({ type: 'lease.close', lease }, AbortSignal.timeout(CLOSE_MS));
    } catch (error) {
      // A relay that does not answer gives the lease up by itself, after its grace.
      log.debug({ err: error }, 'the lease could not be given back');
    }
  }

  /** It is not ours any more. */
  forget(): void {
    this.#opened = undefined;
  }
}

function openRequest(spec: ServiceSpec, portBefore: number | undefined, inChain: boolean) {
  const { name, mode, carrier, metadata, hostname, port = portBefore } = spec;
  return {
    type: 'lease.open',
    name,
    mode: wireMode(mode),
    carrier: carrierAsked(mode, carrier, inChain),
    metadata: { ...metadata },
    ...(hostname !== undefined && { hostname }),
    // The port it had, unless another is wanted: whoever knows it finds the service there again.
    ...(kindOf(mode) !== 'tls' && port !== undefined && { port }),
  } as const;
}

function portOf(address: string | undefined): number | undefined {
  return address === undefined ? undefined : Number(address.slice(address.lastIndexOf(':') + 1));
}
