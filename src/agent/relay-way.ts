import { isIP, type Socket } from 'node:net';
import { createSecureContext, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { createConnection, type CreateConnection } from '../net/create-connection.js';
import { dial, secure, secureTo, socketTo, tlsNameOf } from '../net/dial.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import { LIMITS } from '../protocol/limits.js';
import type { Resumption } from './resumption.js';

/** TCP to a relay: straight, or by a detour. */

export const TCP = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 15_000,
  highWaterMark: SOCKET_BUFFER_BYTES,
} as const;

/** Opens connections from elsewhere: from a proxy, or from another relay. */
export interface Detour {
  /** Nothing may go there in any other way, not even a question to DNS: who is there is not to learn where we are. */
  readonly hides: boolean;
  /** Resolves once it stands, where that is not always so; rejects with what keeps it from standing. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
  open(host: string, port: number, ms: number, signal?: AbortSignal): Promise<Socket>;
  /**
   * Aborts once what is opened from now on goes another way, and what was opened before goes by a relay that is
   * leaving: whoever can, moves.
   */
  readonly moved?: () => AbortSignal;
}

/** Where to, by which detour. */
export interface Way {
  readonly host: string;
  readonly port: number;
  readonly detour: Detour | undefined;
}

/** How to reach a relay. */
export interface RelayEndpoint {
  readonly url: string;
  /** IP address at which it listens, where that is known: the URL's host is not looked up. */
  readonly address?: string;
  /** PEM of the CA to trust for it, in place of the system's. */
  readonly ca?: string;
  /** What leads to it, where it is not reached straight. */
  readonly detour?: Detour;
  /** Asked with the address of the relay's proven key, before anything is signed for it. Throws when that is not the one to trust. */
  readonly trust?: (address: string) => void | Promise<void>;
  /** Told the same address once the relay has opened a session. Throws as `trust` does. */
  readonly remember?: (address: string) => void | Promise<void>;
}

/**
 * The way to a relay's HTTPS server. `address` is the IP address of the instance meant; on a detour the name is
 * resolved at its other end.
 */
export function wayTo({ url, detour, address: listensAt }: RelayEndpoint, address = listensAt): Way {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return { host: detour ? host : (address ?? host), port: Number(port || 443), detour };
}

/** By CA: node would create one for each connection and parse the CA again, at a good part of a handshake's cost. */
const contexts = new Map<string | undefined, SecureContext>();
/** One a relay is what there is; more than this are CAs that were replaced. */
const MAX_CONTEXTS = 64;

function contextOf(ca: string | undefined): SecureContext {
  let context = contexts.get(ca);
  if (!context) {
    if (contexts.size >= MAX_CONTEXTS) contexts.clear();
    contexts.set(ca, (context = createSecureContext(ca === undefined ? {} : { ca })));
  }
  return context;
}

/** TLS with the relay itself, on top of `plain`. */
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
 * For `createConnection` of node's HTTP client and of `ws`: `over` puts on top what is wanted, TLS say. `signal` ends
 * the connecting.
 */
export function creating(way: Way, over: (plain: Socket) => Socket, signal?: AbortSignal): CreateConnection {
  return createConnection(async () => over(await openWay(way, LIMITS.requestMs, signal)));
}

/**
 * A connection without TLS, for a caller that sets a timeout: where the address is known, the socket is not connected yet, and
 * costs no more than itself.
 */
export function openPlain(way: Way, ms: number, signal?: AbortSignal): Promise<Socket> | Socket {
  return isStraight(way) ? socketTo(way.host, way.port, TCP) : openWay(way, ms, signal);
}

/** The same with TLS. It resumes an earlier connection's session where the address is known. */
export async function openTls(
  endpoint: RelayEndpoint,
  way: Way,
  resumption: Resumption,
  ms: number,
  signal?: AbortSignal,
): Promise<TLSSocket> {
  if (!isStraight(way)) return relayTls(endpoint, await openWay(way, ms, signal));
  const socket = secureTo(way.host, way.port, TCP, tlsOptions(endpoint), resumption.session);
  resumption.learn(socket);
  return socket;
}

/** Nothing to look up, and nothing to choose. */
const isStraight = ({ host, detour }: Way): boolean => !detour && isIP(host) !== 0;

/** Connects; rejects after `ms`, or once `signal` aborts. The socket lives on without either. */
export async function openWay(
  { host, port, detour }: Way,
  ms: number,
  signal?: AbortSignal,
): Promise<Socket> {
  if (detour) return detour.open(host, port, ms, signal);
  const what = `the way to ${host}:${port}`;
  return dial({ host, port, ms, signal, what, tcp: TCP });
}
