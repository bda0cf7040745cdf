import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { deferred, within } from '../../lib/wait.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { Drain } from '../../net/splice/splice.js';
import type { Gates } from '../access/gates.js';
import type { Traffic, VisitorInfo } from '../modes/mode.js';
import { TcpHandler } from '../modes/tcp.js';
import { notThrough, openPortHint, PROBE_MS } from '../proof/not-through.js';
import { openTcp } from '../session/relay-endpoint.js';
import type { ServiceSpec } from '../spec.js';
import type { ProveOptions, Serving, ServingOptions } from './serving.js';

const TOKEN_BYTES = 32;

/** Opens the serving side of a lease with a public TCP port. */
export function openTcpServing({ spec, gates, onReached, log }: ServingOptions): Promise<Serving> {
  const handler = new TcpHandler(spec, log, { onReached, onDown: onReached });
  return Promise.resolve(new TcpServing(handler, gates));
}

class TcpServing implements Serving {
  readonly #handler: TcpHandler;
  readonly #gates: Gates;
  /** Probes in progress, by the token that each sends first. */
  readonly #probes = new Map<string, () => void>();
  /** Visitors that have sent nothing yet. They are served once no probe is in progress. */
  readonly #silent = new Set<() => void>();

  constructor(handler: TcpHandler, gates: Gates) {
    this.#handler = handler;
    this.#gates = gates;
  }

  visit(socket: Socket, visitor: VisitorInfo): void {
    if (this.#probes.size === 0) this.#admit(socket, visitor);
    else this.#distinguish(socket, visitor);
  }

  update(spec: ServiceSpec): void {
    this.#handler.update(spec);
  }

  /**
   * Visits the public port. The visit contains no TLS of the agent, so a relay could forge it. It proves that
   * visitors get through, but not that their traffic is confidential.
   */
  async prove({ address, port, via, signal }: ProveOptions): Promise<void | 'unproven'> {
    const token = randomBytes(TOKEN_BYTES);
    const key = token.toString('hex');
    const arrived = deferred<void>();
    // Registered before the visit starts: the relay may deliver it before the agent learns that it is connected.
    this.#probes.set(key, arrived.resolve);
    const startedAt = performance.now();
    let socket: Socket | undefined;
    try {
      socket = await openTcp({ host: address, port, via }, PROBE_MS, signal);
      socket.once('error', arrived.reject);
      socket.once('close', () => arrived.reject(new PortalError('not_through', 'the connection was closed')));
      socket.write(token);
      await within(arrived.promise, PROBE_MS, 'a visit to the public port', signal);
    } catch (error) {
      if (signal.aborted) throw error;
      // Proxies allow few ports besides 443, and visitors do not use the proxy.
      if (asPortalError(error).code === 'proxy_refused') return 'unproven';
      throw notThrough(
        `port ${port}`,
        error,
        performance.now() - startedAt,
        openPortHint(address, `${port}/tcp`),
      );
    } finally {
      this.#probes.delete(key);
      socket?.destroy();
      if (this.#probes.size === 0) this.#serveSilent();
    }
  }

  close(drain: Drain): Promise<void> {
    this.#serveSilent();
    return this.#handler.drain(drain);
  }

  servedAs(): 'tcp' {
    return 'tcp';
  }

  traffic(): Traffic {
    return this.#handler.traffic();
  }

  #serveSilent(): void {
    for (const serve of this.#silent) serve();
  }

  /** A bare port can only reject with a reset. */
  #admit(socket: Socket, visitor: VisitorInfo): void {
    if (this.#gates.enter(visitor.remote, socket)) resetSocket(socket);
    else this.#handler.visit(socket, visitor);
  }

  /**
   * A probe sends its token first; any other bytes come from a visitor. A silent peer may be a visitor whose service speaks
   * first, or a slow probe. The arrival of the probe decides that soon.
   */
  #distinguish(socket: Socket, visitor: VisitorInfo): void {
    let said: Buffer = Buffer.alloc(0);
    const decide = (isProbe: boolean): void => {
      this.#silent.delete(stop);
      socket.off('readable', check).off('close', stop);
      if (isProbe) return void socket.destroy();
      if (said.length > 0) socket.unshift(said);
      this.#admit(socket, visitor);
    };
    const stop = (): void => decide(false);
    // Read only available bytes: reading past the end would consume the end, which the target must see.
    const check = (): void => {
      if (socket.readableLength === 0) return decide(false);
      said = Buffer.concat([said, socket.read() as Buffer]);
      const text = said.toString('hex');
      const arrived = this.#probes.get(text);
      arrived?.();
      if (arrived) decide(true);
      else if (![...this.#probes.keys()].some((key) => key.startsWith(text))) decide(false);
    };
    this.#silent.add(stop);
    socket.on('readable', check).once('close', stop);
  }
}
