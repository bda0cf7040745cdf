import { createServer, isIPv4, isIPv6, type AddressInfo, type Server } from 'node:net';
import { PortalError, systemCode } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';
import { listenError } from '../../net/listen/listen-error.js';
import { listening } from '../../net/listen/listening.js';
import { bindUdp, type UdpSocket } from '../../net/datagrams/udp.js';

/** Listening at one or several addresses on one port, or on shared sockets that the relay received at its start. */

/**
 * Listening sockets that outlive this process: the service manager opens them and passes them to each relay. Connections
 * wait in them while no process accepts, so only one process at a time does.
 */
export interface SharedSocket {
  readonly fds: readonly number[];
  /** Claims the sockets for this process; false if another process still has them. */
  claim(): Promise<boolean>;
  release(): void;
}

/** One address to listen at. */
export interface ListenHost {
  readonly host: string;
  /** For `::`: whether IPv4 belongs to another program, or to another address of this relay. */
  readonly ipv6Only?: boolean;
  /** What to do if this machine lacks the address family: skip the address, or use another one. */
  readonly orElse?: 'nothing' | '0.0.0.0';
}

const LOOPBACKS: readonly ListenHost[] = [
  { host: '127.0.0.1', orElse: 'nothing' },
  { host: '::1', orElse: 'nothing' },
];

/**
 * The addresses to listen at. `localhost` is both loopback addresses; an empty string is every address of this machine.
 * Skips addresses that a wildcard in the list covers.
 */
export function listenHosts(hosts: readonly string[]): readonly ListenHost[] {
  const all = new Set(hosts.map(canonical));
  const [any, any4, any6] = [all.has(''), all.has('0.0.0.0'), all.has('::')];
  if (any || any6) {
    const six: ListenHost = { host: '::', ...(any && { orElse: '0.0.0.0' }) };
    return any4 && !any ? [{ host: '0.0.0.0' }, { host: '::', ipv6Only: true }] : [six];
  }
  const others = [...all].filter((host) => host === '0.0.0.0' || !(any4 && isIPv4(host)));
  return others.flatMap((host) =>
    host === 'localhost'
      ? LOOPBACKS.filter(({ host: each }) => !all.has(each) && !(any4 && isIPv4(each)))
      : { host },
  );
}

/** An IPv6 address has several spellings. */
function canonical(host: string): string {
  return isIPv6(host) && !host.includes('%') ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host;
}

export interface ListenAt {
  readonly hosts: readonly ListenHost[];
  /** 0: any port that is free at all addresses. */
  readonly port: number;
  /** Replaces hosts and port. */
  readonly shared?: SharedSocket | undefined;
}

export interface TakeOver {
  readonly takeOverMs?: number | undefined;
  /** Called once when it has to wait. */
  readonly onWait?: () => void;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/** Maximum number of connections that wait to be accepted. */
const BACKLOG = 4_096;
/** How often to check a port that another process is about to release. */
const TAKE_OVER_LOOK_MS = 50;

/** A port that is free at one address may be in use at the next. */
const MAX_ANY_PORT_TRIES = 32;

/** The addresses that it listens at. */
export interface Listening {
  readonly servers: readonly Server[];
  readonly hosts: readonly ListenHost[];
  readonly port: number;
}

/** Listens with what `create` returns. Waits up to `takeOverMs` for a port in use. Resolves with the addresses. */
export function listen(create: () => Server, at: ListenAt, takeOver?: TakeOver): Promise<Listening> {
  const open = () => (at.shared ? listenShared(create, at.shared) : listenAtAll(create, at));
  return takingOver(open, at, takeOver);
}

/** Calls `open` until it succeeds, for up to `takeOverMs` while another process has the address `at`. */
export async function takingOver<T>(
  open: () => Promise<T>,
  at: ListenAt,
  { takeOverMs = 0, signal, onWait }: TakeOver = {},
): Promise<T> {
  const startedAt = performance.now();
  for (let tries = 0; ; tries++) {
    try {
      return await open();
    } catch (error) {
      const waits = isTaken(error) && performance.now() - startedAt < takeOverMs;
      if (!waits) throw listenError(error, at.hosts[0]?.host ?? '', at.port);
      if (tries === 0) onWait?.();
      await delay(TAKE_OVER_LOOK_MS, signal);
    }
  }
}

/** Throws what `listen` would throw, and releases the addresses again. Lets a caller fail before it writes files. */
export async function checkListen(at: Pick<ListenAt, 'hosts' | 'port'>): Promise<void> {
  const { servers } = await listen(() => createServer((socket) => socket.destroy()), at);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
}

async function listenAtAll(create: () => Server, { hosts, port }: ListenAt): Promise<Listening> {
  const opened = await openOnAllHosts(hosts, port, async (host, at) => {
    const server = create();
    await listenOnce(server, host, at);
    return { server, port: (server.address() as AddressInfo).port, close: () => void server.close() };
  });
  return {
    servers: opened.map(({ opened: { server } }) => server),
    hosts: opened.map(({ at: { ipv6Only }, opened: { server } }) => ({
      host: (server.address() as AddressInfo).address,
      ...(ipv6Only && { ipv6Only }),
    })),
    port: opened[0]!.opened.port,
  };
}

/** How long sockets that are about to close may accept the connections that wait in them, while visitors are served. */
export const ACCEPT_MS = 1_000;

/** Turns of the event loop without a new connection after which none waits. The first one may have begun already. */
const EMPTY_TURNS = 2;

/**
 * Call before listening sockets close: the system resets the connections that wait in them then. Node accepts one of each socket
 * in a turn of the event loop. Resolves once none waits, or after `ms`; close the sockets at once then, before any other wait.
 *
 * @param accepted counts the connections that these sockets have accepted
 */
export async function acceptWaiting(accepted: () => number, ms: number): Promise<void> {
  const giveUpAt = performance.now() + ms;
  for (let empty = 0; empty < EMPTY_TURNS && performance.now() < giveUpAt;) {
    const before = accepted();
    await new Promise(setImmediate);
    empty = accepted() === before ? empty + 1 : 0;
  }
}

/** Throws `address_in_use` if another process has the sockets. */
export async function claimShared(shared: SharedSocket): Promise<void> {
  if (!(await shared.claim()))
    throw new PortalError('address_in_use', 'another relay serves the shared socket');
}

async function listenShared(create: () => Server, shared: SharedSocket): Promise<Listening> {
  await claimShared(shared);
  const servers: Server[] = [];
  try {
    for (const fd of shared.fds) {
      const server = create();
      servers.push(server);
      // The second argument, because node ignores the backlog in an options object without a port.
      await listening(server, () => void server.listen({ fd }, BACKLOG as never));
    }
    const addresses = servers.map((server) => server.address());
    const hosts = addresses.map((address) => {
      if (address && typeof address === 'object') return { host: address.address };
      throw new PortalError('listen_failed', `the inherited socket is not a TCP socket`);
    });
    // If IPv4 has its own socket, the IPv6 socket must not cover IPv4.
    const isBoth = hosts.some(({ host }) => host === '0.0.0.0');
    return {
      servers,
      hosts: hosts.map(({ host }) => ({ host, ...(host === '::' && isBoth && { ipv6Only: true }) })),
      port: (addresses[0] as AddressInfo).port,
    };
  } catch (error) {
    for (const server of servers) server.close();
    shared.release();
    throw error;
  }
}

/**
 * Listens at one address. Rejects with the system's error. In a worker process, its port is one that all workers share, unless
 * it is `exclusive`.
 */
export function listenOnce(
  server: Server,
  { host, ipv6Only }: ListenHost,
  port: number,
  { backlog = BACKLOG, exclusive = false }: { readonly backlog?: number; readonly exclusive?: boolean } = {},
): Promise<void> {
  const at = { ...(host !== '' && { host }), port, backlog, exclusive, ...(ipv6Only && { ipv6Only }) };
  return listening(server, () => void server.listen(at));
}

/** Opens the same port at all addresses, or at none. 0: any port that is free at all of them. Rejects with the system's error. */
export async function openOnAllHosts<T extends { readonly port: number; close(): void }>(
  hosts: readonly ListenHost[],
  port: number,
  open: (host: ListenHost, port: number) => Promise<T>,
): Promise<{ readonly at: ListenHost; readonly opened: T }[]> {
  for (let tries = 1; ; tries++) {
    const all: { at: ListenHost; opened: T }[] = [];
    let missing: unknown;
    try {
      for (const host of hosts) {
        const wanted = all[0]?.opened.port ?? port;
        try {
          all.push(...(await openOrElse(host, wanted, open)));
        } catch (error) {
          if (host.orElse !== 'nothing' || !isMissing(error)) throw error;
          missing = error;
        }
      }
      if (all.length > 0) return all;
      throw missing;
    } catch (error) {
      for (const { opened } of all) opened.close();
      const isAnother = port === 0 && all.length > 0 && isTaken(error) && tries < MAX_ANY_PORT_TRIES;
      if (!isAnother) throw error;
    }
  }
}

async function openOrElse<T>(
  at: ListenHost,
  port: number,
  open: (host: ListenHost, port: number) => Promise<T>,
): Promise<{ at: ListenHost; opened: T }[]> {
  try {
    return [{ at, opened: await open(at, port) }];
  } catch (error) {
    if (at.orElse !== '0.0.0.0' || !isMissing(error)) throw error;
    return [{ at: { host: at.orElse }, opened: await open({ host: at.orElse }, port) }];
  }
}

/** A UDP socket on the same port at each address. In a worker process, all workers can share it. */
export async function bindOnAllHosts(
  hosts: readonly ListenHost[],
  port: number,
  { shared = false } = {},
): Promise<UdpSocket[]> {
  const all = await openOnAllHosts(hosts, port, ({ host, ipv6Only = false }, at) =>
    bindUdp(host, at, { ipv6Only, shared }),
  );
  return all.map(({ opened }) => opened);
}

/** The sockets of `shared` in a worker process, whose main process has claimed them. */
export function claimedSockets(fds: readonly number[], release = (): void => undefined): SharedSocket {
  return { fds, claim: () => Promise.resolve(true), release };
}

/** Whether this machine lacks the address or its family. */
function isMissing(error: unknown): boolean {
  return ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(systemCode(error) ?? '');
}

export function isTaken(error: unknown): boolean {
  return (
    systemCode(error) === 'EADDRINUSE' || (error instanceof PortalError && error.code === 'address_in_use')
  );
}
