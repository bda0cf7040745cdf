import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { PortalError, systemCode } from '../../lib/errors.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import type { LocalLease } from './lease.js';
import {
  ACCEPT_MS,
  acceptWaiting,
  listenOnce,
  openOnAllHosts,
  type ListenHost,
} from '../public-port/listen.js';
import type { Store } from '../store/store.js';

/** Public ports of leases: which port a lease gets, and the sockets that listen on it. */

/** The range of public ports, both ends included; `any`: any free port of the system. */
export type PortRange = { readonly from: number; readonly to: number } | 'any';

/** A listener on one port. */
export interface OpenPort {
  readonly port: number;
  /** How many connections it has accepted. Undefined for UDP. */
  readonly accepted?: () => number;
  /** Stops listening. Accepted connections continue. May be called twice. */
  close(): void;
}

interface PortWish {
  /** The requested port. */
  readonly asked: number | undefined;
  /** The port that this lease had last. */
  readonly former: number | undefined;
  /** Whether this relay already listens on it. */
  readonly isOpen: (port: number) => boolean;
  /** Whether another identity had the port last and may return to it. */
  readonly isTaken: (port: number) => Promise<boolean>;
}

/** Maximum attempts at ports that other programs use. */
const MAX_ATTEMPTS = 64;
/** Maximum lookups of former holders for one lease. */
const MAX_LOOKUPS = 1_024;

/**
 * Opens a free port: the requested one, else the former one, else a random one of the range. Uses a port that another
 * identity had only if nothing else is free. Throws `ports_exhausted`.
 */
async function openPort<T extends OpenPort>(
  range: PortRange,
  wish: PortWish,
  open: (port: number) => Promise<T>,
): Promise<T> {
  const tried = new Set<number>();
  const attempt = async (port: number): Promise<T | undefined> => {
    if (tried.has(port) || wish.isOpen(port)) return undefined;
    tried.add(port);
    try {
      return await open(port);
    } catch (error) {
      if (!UNAVAILABLE.has(systemCode(error) ?? '')) throw error;
      return undefined;
    }
  };
  for (const port of [wish.asked, wish.former]) {
    if (port === undefined || !isWithin(range, port) || (await wish.isTaken(port))) continue;
    const opened = await attempt(port);
    if (opened) return opened;
  }
  if (range === 'any') return open(0);
  const others: number[] = [];
  let lookups = 0;
  for (const port of everyPort(range)) {
    if (tried.size >= MAX_ATTEMPTS || lookups >= MAX_LOOKUPS) break;
    if (wish.isOpen(port)) continue;
    lookups++;
    if (await wish.isTaken(port)) others.push(port);
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

/** Length of the accept queue of a lease's port. */
const BACKLOG = 1_024;

const UNAVAILABLE = new Set(['EADDRINUSE', 'EACCES']);

function isWithin(range: PortRange, port: number): boolean {
  return range === 'any' || (port >= range.from && port <= range.to);
}

/** Every port of the range once, in an order that spreads the first ones over the whole range. */
function* everyPort({ from, to }: { from: number; to: number }): Generator<number> {
  const size = to - from + 1;
  const start = Math.floor(Math.random() * size);
  let step = 1 + Math.floor(Math.random() * (size - 1));
  while (commonDivisor(step, size) > 1) step++;
  for (let index = 0; index < size; index++) yield from + ((start + index * step) % size);
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** Listens for visitors on a lease's TCP port. */
export async function listenTcp(
  hosts: readonly ListenHost[],
  port: number,
  onVisitor: (socket: Socket) => void,
): Promise<OpenPort> {
  let accepted = 0;
  const accept = (socket: Socket): void => {
    accepted++;
    onVisitor(socket);
  };
  const all = await openOnAllHosts(hosts, port, (host, at) => listenAt(host, at, accept));
  return {
    port: all[0]!.opened.port,
    accepted: () => accepted,
    close: () => {
      for (const { opened } of all) opened.close();
    },
  };
}

async function listenAt(
  host: ListenHost,
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
      // For the whole life of the socket: an error of a visitor's connection must not end the process.
      socket.on('error', () => undefined);
      onVisitor(socket);
    },
  );
  // Only the process that serves the lease accepts its visitors.
  await listenOnce(server, host, port, { backlog: BACKLOG, exclusive: true });
  // Running out of file descriptors must not end the relay: it accepts again when some are free.
  server.on('error', () => undefined);
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

/** Closes a port, once it has accepted the visitors whose connections the system had completed: they would be reset. */
export async function closeEmpty(port: OpenPort): Promise<void> {
  if (port.accepted) await acceptWaiting(port.accepted, ACCEPT_MS);
  port.close();
}

/** Kinds of lease that have their own public port. */
export type PortKind = 'tcp' | 'udp';
export const PORT_KINDS: readonly PortKind[] = ['tcp', 'udp'];

export interface PublicPortsOptions {
  /** The ranges by kind. A kind without a range is not offered. */
  readonly ranges: { readonly [kind in PortKind]?: PortRange };
  /** How each kind listens for visitors. */
  readonly listen: { readonly [kind in PortKind]?: (lease: LocalLease, port: number) => Promise<OpenPort> };
  readonly store: Store;
  readonly reservationMs: number;
  /** The clock for reservations. */
  readonly now?: () => number;
}

/** Gives leases their public ports, and remembers the last port of each name. */
export class PublicPorts {
  readonly #options: PublicPortsOptions;
  readonly #open: { readonly [kind in PortKind]: Set<number> } = { tcp: new Set(), udp: new Set() };

  constructor(options: PublicPortsOptions) {
    this.#options = options;
  }

  offers(kind: PortKind): boolean {
    return this.#options.ranges[kind] !== undefined && this.#options.listen[kind] !== undefined;
  }

  /** The range of a kind, for agents. Undefined without one, and if any port will do. */
  rangeOf(kind: PortKind): Exclude<PortRange, 'any'> | undefined {
    const range = this.#options.ranges[kind];
    return range === 'any' ? undefined : range;
  }

  /** Opens a port for `lease`. Throws `capability_missing` or `ports_exhausted`. */
  async open(kind: PortKind, lease: LocalLease, asked: number | undefined): Promise<OpenPort> {
    const range = this.#range(kind);
    const opened = await openPort(
      range,
      {
        asked,
        former: await this.#options.store.port(kind, lease.record.name),
        isOpen: (port) => this.#open[kind].has(port),
        isTaken: (port) => this.#isTaken(kind, port, lease),
      },
      (port) => this.#listen(kind, lease, port),
    );
    return this.#remembered(kind, lease, opened);
  }

  /** Opens port `asked` and no other for `lease`, which has a port already; undefined if it is unavailable. */
  async move(kind: PortKind, lease: LocalLease, asked: number): Promise<OpenPort | undefined> {
    if (!isWithin(this.#range(kind), asked) || (await this.#isTaken(kind, asked, lease))) return undefined;
    let opened: OpenPort;
    try {
      opened = await this.#listen(kind, lease, asked);
    } catch (error) {
      if (UNAVAILABLE.has(systemCode(error) ?? '')) return undefined;
      throw error;
    }
    return this.#remembered(kind, lease, opened);
  }

  async #listen(kind: PortKind, lease: LocalLease, at: number): Promise<OpenPort> {
    const opened = await this.#options.listen[kind]!(lease, at);
    const { port } = opened;
    const open = this.#open[kind];
    open.add(port);
    let closed = false;
    return {
      ...opened,
      close: () => {
        if (closed) return;
        closed = true;
        open.delete(port);
        opened.close();
      },
    };
  }

  async #remembered(kind: PortKind, { record }: LocalLease, opened: OpenPort): Promise<OpenPort> {
    const { store } = this.#options;
    const { name } = record;
    try {
      // The former port is stored already, so a full disk does not matter.
      if ((await store.port(kind, name)) !== opened.port) await store.rememberPort(kind, name, opened.port);
      return opened;
    } catch (error) {
      // Nothing else closes it.
      opened.close();
      throw error;
    }
  }

  #range(kind: PortKind): PortRange {
    const range = this.#options.ranges[kind];
    if (range && this.#options.listen[kind]) return range;
    throw new PortalError('capability_missing', `this relay offers no ${kind} ports`);
  }

  /** Whether another identity had the port last and may return to it. */
  async #isTaken(kind: PortKind, port: number, { record }: LocalLease): Promise<boolean> {
    const { store, reservationMs } = this.#options;
    const since = (this.#options.now ?? Date.now)() - reservationMs;
    const holder = await store.portHolder(kind, port, since);
    return holder !== undefined && holder !== record.owner;
  }
}
