import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { PortalError, systemCode } from '../lib/errors.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import type { Lease } from './leases.js';
import type { Store } from './store.js';

/** Public ports of leases: which one a lease gets, and the sockets that listen on them. */

/** Ports that an operator gives out, both ends included; `any` is whatever the system has free. */
export type PortRange = { readonly from: number; readonly to: number } | 'any';

/** Something that listens on one port. */
export interface OpenPort {
  readonly port: number;
  /** Stops listening; connections that were accepted live on. */
  close(): void;
}

export interface PortWish {
  /** The port asked for. */
  readonly asked: number | undefined;
  /** The port that this lease had before, if it is known. */
  readonly former: number | undefined;
  /** Whether a port was somebody else's before, who may come back to it. */
  readonly isTaken: (port: number) => boolean;
}

/** Ports that fail to open for another reason than being taken: more of them will not help. */
const MAX_ATTEMPTS = 64;

/**
 * Finds a free port and opens it: the one asked for, else the one the lease had, else one from the range at
 * random; one that another identity had only when nothing else is free. Throws `ports_exhausted`.
 */
export async function openPort<T extends OpenPort>(
  range: PortRange,
  wish: PortWish,
  open: (port: number) => Promise<T>,
): Promise<T> {
  const tried = new Set<number>();
  const attempt = async (port: number): Promise<T | undefined> => {
    if (tried.has(port)) return undefined;
    tried.add(port);
    try {
      return await open(port);
    } catch (error) {
      if (!UNAVAILABLE.has(systemCode(error) ?? '')) throw error;
      return undefined;
    }
  };
  for (const port of [wish.asked, wish.former]) {
    if (port === undefined || !isWithin(range, port) || wish.isTaken(port)) continue;
    const opened = await attempt(port);
    if (opened) return opened;
  }
  if (range === 'any') return open(0);
  const others: number[] = [];
  for (const port of everyPort(range)) {
    if (tried.size >= MAX_ATTEMPTS) break;
    if (wish.isTaken(port)) others.push(port);
    else {
      const opened = await attempt(port);
      if (opened) return opened;
    }
  }
  for (const port of others.slice(0, MAX_ATTEMPTS)) {
    const opened = await attempt(port);
    if (opened) return opened;
  }
  throw new PortalError(
    'ports_exhausted',
    `no port from ${range.from} to ${range.to} is free on this relay`,
    {
      retryAfterMs: 10_000,
    },
  );
}

const UNAVAILABLE = new Set(['EADDRINUSE', 'EACCES']);

function isWithin(range: PortRange, port: number): boolean {
  return range === 'any' || (port >= range.from && port <= range.to);
}

/** Every port of the range once, from a random one on. */
function* everyPort({ from, to }: { from: number; to: number }): Generator<number> {
  const size = to - from + 1;
  const start = Math.floor(Math.random() * size);
  for (let index = 0; index < size; index++) yield from + ((start + index) % size);
}

/** Listens for visitors on a TCP port of their lease's own. */
export async function listenTcp(
  host: string,
  port: number,
  onVisitor: (socket: Socket) => void,
): Promise<OpenPort> {
  const server: Server = createServer(
    {
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      highWaterMark: SOCKET_BUFFER_BYTES,
      pauseOnConnect: true,
    },
    (socket) => {
      // For its whole life: no error of a visitor's connection may reach the process.
      socket.on('error', () => undefined);
      onVisitor(socket);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 1_024 }, resolve);
  });
  // Running out of descriptors must not end the relay: accepting goes on when some are free again.
  server.on('error', () => undefined);
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

/** Kinds of lease that have a public port of their own. */
export type PortKind = 'tcp' | 'udp';
export const PORT_KINDS: readonly PortKind[] = ['tcp', 'udp'];

export interface PublicPortsOptions {
  /** What is given out; a kind that is left out is not offered. */
  readonly ranges: { readonly [kind in PortKind]?: PortRange };
  /** How a kind listens for its visitors. */
  readonly listen: { readonly [kind in PortKind]?: (lease: Lease, port: number) => Promise<OpenPort> };
  readonly store: Store;
  readonly reservationMs: number;
}

/** Gives leases their public ports, and remembers which one each name had. */
export class PublicPorts {
  readonly #options: PublicPortsOptions;

  constructor(options: PublicPortsOptions) {
    this.#options = options;
  }

  offers(kind: PortKind): boolean {
    return this.#options.ranges[kind] !== undefined && this.#options.listen[kind] !== undefined;
  }

  /** Opens a port for `lease`. Throws `capability_missing` or `ports_exhausted`. */
  async open(kind: PortKind, lease: Lease, asked: number | undefined): Promise<OpenPort> {
    const { store } = this.#options;
    const { range, listen } = this.#offer(kind);
    const opened = await openPort(
      range,
      { asked, former: store.port(kind, lease.name), isTaken: (port) => this.#isTaken(kind, port, lease) },
      (port) => listen(lease, port),
    );
    await store.rememberPort(kind, lease.name, opened.port);
    return opened;
  }

  /** The port `asked` and no other for `lease`, which has one already; undefined when it is not to be had. */
  async move(kind: PortKind, lease: Lease, asked: number): Promise<OpenPort | undefined> {
    const { range, listen } = this.#offer(kind);
    if (!isWithin(range, asked) || this.#isTaken(kind, asked, lease)) return undefined;
    try {
      const opened = await listen(lease, asked);
      await this.#options.store.rememberPort(kind, lease.name, opened.port);
      return opened;
    } catch (error) {
      if (UNAVAILABLE.has(systemCode(error) ?? '')) return undefined;
      throw error;
    }
  }

  #offer(kind: PortKind): { range: PortRange; listen: (lease: Lease, port: number) => Promise<OpenPort> } {
    const range = this.#options.ranges[kind];
    const listen = this.#options.listen[kind];
    if (range && listen) return { range, listen };
    throw new PortalError('capability_missing', `this relay gives out no ${kind} ports`);
  }

  /** Whether another identity had the port last, and may come back to it. */
  #isTaken(kind: PortKind, port: number, { address }: Lease): boolean {
    const { store, reservationMs } = this.#options;
    const holder = store.portHolder(kind, port, Date.now() - reservationMs);
    return holder !== undefined && holder !== address;
  }
}
