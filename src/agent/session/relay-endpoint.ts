import { isIP, type Socket } from 'node:net';
import { createSecureContext, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { createConnection, type CreateConnection } from '../../net/create-connection.js';
import { dial, secure, secureTo, socketTo, tlsNameOf } from '../../net/dial.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import type { Resumption } from '../data/resumption.js';

/** TCP to a relay: direct, or through a tunnel. */

export const TCP = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 15_000,
  highWaterMark: SOCKET_BUFFER_BYTES,
} as const;

/** Opens connections through a proxy or another relay. */
export interface Tunnel {
  /** No other traffic may go there, not even a DNS query: the relay must not learn the agent's address. */
  readonly hides: boolean;
  /** Resolves once the tunnel is ready, if it is not always ready. Rejects with its error. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
  open(host: string, port: number, ms: number, signal?: AbortSignal): Promise<Socket>;
  /**
   * Aborts once new connections use another path, and existing ones use a relay that is shutting down. Connections
   * that can move should move.
   */
  readonly moved?: () => AbortSignal;
}

/** A host and port, and the tunnel to them. */
export interface Destination {
  readonly host: string;
  readonly port: number;
  readonly via: Tunnel | undefined;
}

/** How to reach a relay. */
export interface RelayEndpoint {
  readonly url: string;
  /** IP address that it listens on, if known. Then the URL's host is not resolved. */
  readonly address?: string;
  /** PEM of the CA to trust for it. Default: the system's CAs. */
  readonly ca?: string;
  /** The tunnel to it, if connections are not direct. */
  readonly via?: Tunnel;
  /**
   * Called with the address of the relay's proven key, before anything is signed for it. Throws if the key is not trusted.
   */
  readonly trust?: (address: string) => void | Promise<void>;
  /** Called with the same address once the relay has opened a session. Throws like `trust`. */
  readonly remember?: (address: string) => void | Promise<void>;
}

/**
 * Where a relay's HTTPS server is. `address` is the IP address of the relay instance. Through a tunnel, the far end resolves the
 * name.
 */
export function destinationOf(
  { url, via, address: listensAt }: RelayEndpoint,
  address = listensAt,
): Destination {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return { host: via ? host : (address ?? host), port: Number(port || 443), via };
}

/**
 * Cached by CA: node would create a context per connection and parse the CA again, which costs a large part of a handshake.
 */
const contexts = new Map<string | undefined, SecureContext>();
/** Normally one per relay. More are from replaced CAs. */
const MAX_CONTEXTS = 64;

function contextOf(ca: string | undefined): SecureContext {
  let context = contexts.get(ca);
  if (!context) {
    if (contexts.size >= MAX_CONTEXTS) contexts.clear();
    contexts.set(ca, (context = createSecureContext(ca === undefined ? {} : { ca })));
  }
  return context;
}

/** TLS to the relay itself, over `plain`. */
export function relayTls(endpoint: RelayEndpoint, plain: Socket): TLSSocket {
  const socket = secure(plain, tlsOptions(endpoint));
  plain.on('error', (error) => socket.destroy(error));
  return socket;
}

const tlsOptions = ({ url, ca }: RelayEndpoint): ConnectionOptions => ({
  ...tlsNameOf(new URL(url).hostname),
  ALPNProtocols: ['http/1.1'],
  secureContext: contextOf(ca),
});

/**
 * The `createConnection` of node's HTTP client and of `ws`. `over` wraps the connection, for example in TLS. `signal` cancels
 * the connection attempt.
 */
export function createConnectionTo(
  destination: Destination,
  over: (plain: Socket) => Socket,
  signal?: AbortSignal,
): CreateConnection {
  return createConnection(async () => over(await openTcp(destination, LIMITS.requestMs, signal)));
}

/**
 * A connection without TLS, for a caller that sets a timeout. If the address is known, the socket is still connecting, which
 * saves overhead.
 */
export function openPlain(
  destination: Destination,
  ms: number,
  signal?: AbortSignal,
): Promise<Socket> | Socket {
  return isDirect(destination)
    ? socketTo(destination.host, destination.port, TCP)
    : openTcp(destination, ms, signal);
}

/** The same with TLS. Resumes the session of an earlier connection if the address is known. */
export function openTls(
  endpoint: RelayEndpoint,
  destination: Destination,
  resumption: Resumption,
  ms: number,
  signal?: AbortSignal,
): Promise<TLSSocket> | TLSSocket {
  if (!isDirect(destination))
    return openTcp(destination, ms, signal).then((plain) => relayTls(endpoint, plain));
  const socket = secureTo(destination.host, destination.port, TCP, tlsOptions(endpoint), resumption.session);
  resumption.store(socket);
  return socket;
}

/** Nothing to resolve, and nothing to choose. */
const isDirect = ({ host, via }: Destination): boolean => !via && isIP(host) !== 0;

/** Connects. Rejects after `ms`, or when `signal` aborts. Neither affects the open socket. */
export async function openTcp(
  { host, port, via }: Destination,
  ms: number,
  signal?: AbortSignal,
): Promise<Socket> {
  if (via) return via.open(host, port, ms, signal);
  const what = `a connection to ${host}:${port}`;
  return dial({ host, port, ms, signal, what, tcp: TCP });
}
