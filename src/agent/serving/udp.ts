import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { PortalError } from '../../lib/errors.js';
import { within } from '../../lib/wait.js';
import { allAddresses } from '../../net/resolve.js';
import { connectUdp } from '../../net/datagrams/udp.js';
import type { Drain } from '../../net/splice/splice.js';
import type { AgentDatagrams } from '../datagrams/datagrams.js';
import type { Traffic } from '../modes/mode.js';
import { PROBE_BYTES } from '../modes/udp-probes.js';
import { UdpHandler } from '../modes/udp.js';
import { notThrough, openPortHint, PROBE_MS } from '../proof/not-through.js';
import type { ServiceSpec } from '../spec.js';
import type { ProveOptions, Serving, ServingOptions } from './serving.js';

/** A probe is a datagram and may be lost. */
const REPEAT_MS = 250;

/** Opens the serving side of a lease with a public UDP port. */
export function openUdpServing({ spec, gates, onReached, log }: ServingOptions): Promise<Serving> {
  return Promise.resolve(new UdpServing(spec, new UdpHandler(spec, log, gates, onReached)));
}

class UdpServing implements Serving {
  readonly #handler: UdpHandler;
  #spec: ServiceSpec;
  /** The session that currently serves the lease. */
  #at: { datagrams: AgentDatagrams; lease: string } | undefined;

  constructor(spec: ServiceSpec, handler: UdpHandler) {
    this.#spec = spec;
    this.#handler = handler;
  }

  visit(socket: { destroy(): void }): void {
    // A UDP lease has no data connections.
    socket.destroy();
  }

  update(spec: ServiceSpec): void {
    this.#spec = spec;
    this.#handler.update(spec);
    // The lease's own request tells the relay.
    if (this.#at) void this.#serve(AbortSignal.timeout(PROBE_MS)).catch(() => undefined);
  }

  /**
   * Sends datagrams to the public port, from a socket like a visitor's, until one gets through. If the relay's own UDP port
   * is out of reach from here, the public port is too, which proves nothing about visitors.
   */
  async prove({ address, port, lease, datagrams, via, signal }: ProveOptions): Promise<void | 'unproven'> {
    if (!datagrams) throw new PortalError('internal', 'the session has no datagram channel');
    this.#at = { datagrams, lease };
    await this.#serve(signal);
    this.#handler.idleMs = datagrams.flowIdleMs;
    // A datagram would reveal the agent's address to the relay.
    if (via?.hides) return 'unproven';
    try {
      await this.#visit(address, port, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      if (datagrams.status().carrier === 'ws') return 'unproven';
      throw notThrough(`port ${port}`, error, 0, openPortHint(address, `${port}/udp`));
    }
  }

  async #visit(address: string, port: number, signal: AbortSignal): Promise<void> {
    const token = randomBytes(PROBE_BYTES);
    const lookup = isIP(address) === 0 ? allAddresses(address) : Promise.resolve([address]);
    const [ip] = await within(lookup, PROBE_MS, `the address of ${address}`, signal);
    const socket = await connectUdp(ip!, port);
    let forget: (() => void) | undefined;
    let repeat: NodeJS.Timeout | undefined;
    try {
      const arrived = new Promise<void>((resolve, reject) => {
        forget = this.#handler.probes.expect(token, resolve);
        socket.onFailed(reject);
        const send = (): void => void socket.send(token);
        repeat = setInterval(send, REPEAT_MS);
        send();
      });
      await within(arrived, PROBE_MS, 'a datagram to the public port', signal);
    } finally {
      clearInterval(repeat);
      forget?.();
      socket.close();
    }
  }

  close(_drain: Drain): Promise<void> {
    this.#at?.datagrams.forget(this.#at.lease);
    this.#handler.close();
    return Promise.resolve();
  }

  servedAs(): 'udp' {
    return 'udp';
  }

  traffic(): Traffic {
    return this.#handler.traffic();
  }

  #serve(signal: AbortSignal): Promise<void> {
    const { datagrams, lease } = this.#at!;
    return datagrams.serve(lease, this.#handler, this.#spec.carrier === 'ws' ? 'ws' : 'udp', signal);
  }
}
