import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { ERRORS } from '../../lib/error-codes.js';
import { PortalError, type ErrorCode } from '../../lib/errors.js';
import { deferred, within, type Deferred } from '../../lib/wait.js';
import { HOP_HEADERS, LIMITS } from '../../protocol/limits.js';
import { connectError } from './connect-error.js';
import type { ControlChannel } from './control.js';
import { openTcp, relayTls, destinationOf, type Tunnel, type RelayEndpoint } from './relay-endpoint.js';
import { show } from '../data/show-ticket.js';

/** If a ticket takes longer than this, check whether the relay still responds. */
const CHECK_MS = 2_000;

/**
 * Connections through a relay to the next relay of a chain (`CONNECT`), or to the agent's own leases there. Each is TLS to
 * this relay, with TLS to the other end inside.
 */
export class HopTunnel implements Tunnel {
  readonly hides = true;
  readonly #channel: ControlChannel;
  readonly #endpoint: RelayEndpoint;
  /** Callers that wait for a ticket, by target. Tickets requested in the same turn share one message. */
  readonly #wanted = new Map<string, Deferred<string>[]>();
  #opening = 0;

  constructor(channel: ControlChannel, endpoint: RelayEndpoint) {
    this.#channel = channel;
    this.#endpoint = endpoint;
  }

  /** Whether no connection is being opened. */
  get isIdle(): boolean {
    return this.#opening === 0;
  }

  async open(host: string, port: number, ms: number, signal?: AbortSignal): Promise<Socket> {
    this.#opening++;
    try {
      return await this.#open(host, port, ms, signal);
    } finally {
      this.#opening--;
    }
  }

  async #open(host: string, port: number, ms: number, signal?: AbortSignal): Promise<Socket> {
    const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const destination = destinationOf(this.#endpoint, this.#channel.relayAddress);
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    // In parallel, so that the ticket adds no delay.
    const opening = openTcp(destination, ms, either).catch((error: unknown) => {
      throw connectError(error, this.#endpoint);
    });
    const ticket = this.#ticket(target, ms, either);
    try {
      const [plain, text] = await Promise.all([opening, ticket]);
      return await within(
        this.#connect(plain, target, text),
        ms,
        `the connection through ${this.#endpoint.url}`,
        signal,
      );
    } catch (error) {
      stop.abort();
      ticket.catch(() => undefined);
      opening.then(
        (plain) => plain.destroy(),
        () => undefined,
      );
      throw error;
    }
  }

  #connect(plain: Socket, target: string, ticket: string): Promise<Socket> {
    const { url } = this.#endpoint;
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        method: 'CONNECT',
        path: target,
        createConnection: () => relayTls(this.#endpoint, plain),
        headers: { host: target },
      });
      show(request, 'proxy-authorization', url, ticket);
      request.once('connect', ({ statusCode, headers }, socket: Socket, head: Buffer) => {
        // This listener stays, so that a later error does not end the process. The owner adds another one.
        socket.on('error', () => undefined);
        if (statusCode !== 200) {
          socket.destroy();
          return reject(refused(url, target, headers[HOP_HEADERS.error]));
        }
        socket.setTimeout(0);
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      request.once('error', (error) => reject(connectError(error, this.#endpoint)));
    });
  }

  #ticket(target: string, ms: number, signal: AbortSignal): Promise<string> {
    const ticket = deferred<string>();
    const wanted = this.#wanted.get(target);
    if (wanted) wanted.push(ticket);
    else {
      this.#wanted.set(target, [ticket]);
      setImmediate(() => void this.#ask(target));
    }
    return within(ticket.promise, ms, `a ticket from ${this.#endpoint.url}`, signal);
  }

  async #ask(target: string): Promise<void> {
    const all = this.#wanted.get(target) ?? [];
    this.#wanted.delete(target);
    for (let at = 0; at < all.length; at += LIMITS.maxTicketsPerDial) {
      const some = all.slice(at, at + LIMITS.maxTicketsPerDial);
      try {
        const opened = await this.#channel.request({ type: 'hop.open', target, count: some.length });
        if (opened.type !== 'hop.opened')
          throw new PortalError('protocol', `unexpected reply ${opened.type} to hop.open`);
        for (const [index, one] of some.entries()) {
          const ticket = opened.tickets[index];
          if (ticket === undefined)
            one.reject(new PortalError('protocol', 'the relay returned too few tickets'));
          else one.resolve(ticket);
        }
      } catch (error) {
        if (error instanceof PortalError && error.code === 'timeout') void this.#channel.check(CHECK_MS);
        for (const one of some) {
          one.promise.catch(() => undefined);
          one.reject(error);
        }
      }
    }
  }
}

/** The error for a refused connection, from the relay's code. */
function refused(url: string, target: string, code: unknown): PortalError {
  const next = new URL(`https://${target}`).origin;
  const known: ErrorCode =
    typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'peer_unreachable';
  // The ticket expired. The next one will work.
  if (known === 'unauthorized') return new PortalError('expired', `${url} rejected its own ticket`);
  if (known === 'peer_unreachable') return new PortalError(known, `${url} could not reach ${next}`);
  return new PortalError(known, `${url} does not forward to ${next}: ${ERRORS[known].title}`);
}
