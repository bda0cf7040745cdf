import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { within } from '../../lib/wait.js';
import { resetSocket, type Drain } from '../../net/splice.js';
import { AddressGate } from '../access/addresses.js';
import type { Refusals } from '../access/refusals.js';
import type { Traffic, VisitorInfo } from '../modes/mode.js';
import { TcpHandler } from '../modes/tcp.js';
import { notThrough } from '../not-through.js';
import { openWay } from '../relay-way.js';
import type { ServiceSpec } from '../spec.js';
import type { PublicWay, Serving, ServingOptions } from './serving.js';

const TOKEN_BYTES = 32;
const PROBE_MS = 5_000;
/** While a probe is out, a visitor who says nothing counts as a visitor after this. */
const SILENT_MS = 250;

/** Opens what serves a lease with a public TCP port. */
export function openTcpServing({ spec, refusals, log }: ServingOptions): Promise<Serving> {
  return Promise.resolve(new TcpServing(new TcpHandler(spec, log), new AddressGate(spec.access), refusals));
}

class TcpServing implements Serving {
  readonly #handler: TcpHandler;
  readonly #gate: AddressGate;
  readonly #refusals: Refusals;
  /** Probes that are out, by what they will say first. */
  readonly #probes = new Map<string, () => void>();

  constructor(handler: TcpHandler, gate: AddressGate, refusals: Refusals) {
    this.#handler = handler;
    this.#gate = gate;
    this.#refusals = refusals;
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    if (this.#probes.size === 0) this.#admit(socket, visitor);
    else this.#tellApart(socket, visitor);
  }

  update(spec: ServiceSpec): void {
    this.#gate.update(spec.access);
    this.#handler.update(spec);
  }

  /**
   * Visits the public port. There is no TLS of ours in it, and so nothing that a relay could not forge: it
   * proves that visitors get through, not that nobody reads along.
   */
  async prove({ address, port, proxy, signal }: PublicWay): Promise<void | 'unproven'> {
    const token = randomBytes(TOKEN_BYTES);
    const key = token.toString('hex');
    let socket: Socket | undefined;
    try {
      const visitor = (socket = await openWay({ host: address, port, proxy }, PROBE_MS, signal));
      const arrived = new Promise<void>((resolve, reject) => {
        this.#probes.set(key, resolve);
        visitor.once('error', reject);
        visitor.once('close', () => reject(new PortalError('not_through', 'the connection was closed')));
        visitor.write(token);
      });
      await within(arrived, PROBE_MS, 'a visit to the public port', signal);
    } catch (error) {
      if (signal.aborted) throw error;
      // Proxies open few ports besides 443. Visitors do not come by way of it.
      if (asPortalError(error).code === 'proxy_refused') return 'unproven';
      throw notThrough(`port ${port}`, error);
    } finally {
      this.#probes.delete(key);
      socket?.destroy();
    }
  }

  close(drain: Drain): Promise<void> {
    return this.#handler.drain(drain);
  }

  traffic(): Traffic {
    return this.#handler.traffic();
  }

  /** A bare port has no words for why not but a reset. */
  #admit(socket: Socket, visitor: VisitorInfo): void {
    const { address } = visitor.remote;
    if (this.#gate.enter(socket, address)) return this.#handler.visit(socket, visitor);
    this.#refusals.note('ip', address);
    resetSocket(socket);
  }

  /** A probe says its token first; whoever says anything else, or nothing for a while, is a visitor. */
  #tellApart(socket: Socket, visitor: VisitorInfo): void {
    let said: Buffer = Buffer.alloc(0);
    const decide = (isProbe: boolean): void => {
      clearTimeout(timer);
      socket.off('readable', look).off('close', leave);
      if (isProbe) return void socket.destroy();
      if (said.length > 0) socket.unshift(said);
      this.#admit(socket, visitor);
    };
    const leave = (): void => decide(false);
    // Read only what is there: reading past its end would use up the end, which the target is to see.
    const look = (): void => {
      if (socket.readableLength === 0) return decide(false);
      said = Buffer.concat([said, socket.read() as Buffer]);
      const text = said.toString('hex');
      const arrived = this.#probes.get(text);
      arrived?.();
      if (arrived) decide(true);
      else if (![...this.#probes.keys()].some((key) => key.startsWith(text))) decide(false);
    };
    const timer = setTimeout(leave, SILENT_MS);
    socket.on('readable', look).once('close', leave);
  }
}
