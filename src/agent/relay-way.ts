import { EventEmitter } from 'node:events';
import type { ClientRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { asPortalError, PortalError, systemCode } from '../lib/errors.js';
import { within } from '../lib/wait.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import { LIMITS } from '../protocol/limits.js';

/** TCP to a relay: straight, or through the HTTP proxy that the network wants (`CONNECT`). */

const TCP = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 15_000,
  highWaterMark: SOCKET_BUFFER_BYTES,
} as const;

/** Where to, by which proxy. */
export interface Way {
  readonly host: string;
  readonly port: number;
  /** URL of the proxy; it may carry a user name and a password. */
  readonly proxy: string | undefined;
}

/** How to reach a relay. */
export interface RelayEndpoint {
  readonly url: string;
  /** PEM of the CA to trust for it, in place of the system's. */
  readonly ca?: string;
  /** URL of the HTTP proxy that leads to it. */
  readonly proxy?: string;
  /** Told the address of the relay's own key, once it is proven; throws when it is not the one that is trusted. */
  readonly trust?: (address: string) => void | Promise<void>;
}

/**
 * The way to a relay's HTTPS server. `address` is the IP address of the instance meant; a proxy resolves the name
 * by itself.
 */
export function wayTo({ url, proxy }: RelayEndpoint, address?: string): Way {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return { host: proxy === undefined ? (address ?? host) : host, port: Number(port || 443), proxy };
}

/** TLS with the relay itself, on top of `plain`. */
export function relayTls({ url, ca }: RelayEndpoint, plain: Socket): TLSSocket {
  const socket = tlsConnect({
    socket: plain,
    ...serverNameOf(new URL(url)),
    ALPNProtocols: ['http/1.1'],
    ...(ca !== undefined && { ca }),
  });
  plain.on('error', (error) => socket.destroy(error));
  return socket;
}

/** SNI for a relay: none for an IP address, which it cannot carry (RFC 6066 §3). */
export function serverNameOf(url: URL): { servername?: string } {
  return /^[\d.]+$|^\[/.test(url.hostname) ? {} : { servername: url.hostname };
}

type Create = (options: object, done: (error: Error | null, socket?: Socket) => void) => Socket | undefined;

/** For `createConnection` of node's HTTP client and of `ws`: `over` puts on top what is wanted, TLS say. */
export function creating(way: Way, over: (plain: Socket) => Socket): Create {
  return (_options, done) => {
    if (way.proxy === undefined) return over(connect({ ...TCP, host: way.host, port: way.port }));
    void tunnelled(way, way.proxy, over, done);
    return undefined;
  };
}

async function tunnelled(
  way: Way,
  proxy: string,
  over: (plain: Socket) => Socket,
  done: Parameters<Create>[1],
): Promise<void> {
  let socket: Socket;
  try {
    socket = over(await tunnel(way, proxy, LIMITS.requestMs));
  } catch (error) {
    done(asPortalError(error));
    return;
  }
  done(null, socket);
}

/** Connects; rejects after `ms`, or once `signal` aborts. The socket lives on without either. */
export async function openWay(way: Way, ms: number, signal?: AbortSignal): Promise<Socket> {
  if (way.proxy !== undefined) return tunnel(way, way.proxy, ms, signal);
  const socket = connect({ ...TCP, host: way.host, port: way.port });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  try {
    await within(connected, ms, `the way to ${way.host}:${way.port}`, signal);
    socket.on('error', () => undefined);
    return socket;
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    throw error;
  }
}

async function tunnel({ host, port }: Way, proxy: string, ms: number, signal?: AbortSignal): Promise<Socket> {
  const { host: proxyName } = new URL(proxy);
  const connecting = new AbortController();
  const agent = new HttpsProxyAgent(proxy, { ...TCP, signal: connecting.signal });
  let status = 0;
  agent.once('proxyConnect', ({ statusCode }) => (status = statusCode));
  // The agent wants to tell a request of its answer; nothing of ours begins before the tunnel stands.
  const request = new EventEmitter() as ClientRequest;
  const opening = agent.connect(request, { host, port, secureEndpoint: false });
  try {
    const socket = await within(opening, ms, `the proxy ${proxyName}`, signal);
    socket.on('error', () => undefined);
    if (status !== 200) {
      socket.destroy();
      throw new PortalError('proxy_refused', `the proxy ${proxyName} refused ${host}:${port} (${status})`);
    }
    // It was read by hand so far, and would tell no listener of anything.
    setImmediate(() => socket.resume());
    return socket;
  } catch (error) {
    connecting.abort();
    opening.catch(() => undefined);
    if (error instanceof PortalError) throw error;
    const reason = systemCode(error) ?? asPortalError(error).message;
    throw new PortalError('relay_unreachable', `the proxy ${proxyName} cannot be reached: ${reason}`, {
      cause: error,
    });
  }
}
