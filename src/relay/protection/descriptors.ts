import type { Duplex } from 'node:stream';
import type { Logger } from '../../lib/logger.js';
import { socketBelow } from '../../net/splice/reset.js';
import { LIMITS } from '../../protocol/limits.js';
import type { RelayLimits } from '../limits.js';

/**
 * File descriptors of a relay. Without a free one, libuv accepts a connection and closes it without an error. So the relay
 * rejects connections before that: first visitors, then data connections, then control channels.
 */

/** Reserved for metrics, the database, certificates and DNS. The same number is reserved for agents. */
const RESERVE = 64;
/** Both reserves together are at most this part of the limit. */
const MAX_RESERVED_PART = 0.25;
const SAY_EVERY_MS = 10_000;

/** Maximum of each limit, as a part of the descriptors that are not reserved. */
const PARTS = {
  maxUnroutedConnections: 1 / 4,
  maxRequestConnections: 1 / 8,
  maxSessions: 1 / 2,
  maxConnectionsPerAddress: 1 / 2,
  // A visitor and a connection to a peer have two descriptors each.
  maxVisitorsPerIdentity: 1 / 4,
  maxHopConnections: 1 / 4,
} as const satisfies Partial<Record<keyof RelayLimits, number>>;

type Derived = keyof typeof PARTS;

const reserveOf = (limit: number): number => Math.min(RESERVE, Math.floor((limit * MAX_RESERVED_PART) / 2));

/** The limits that fit into `descriptors`: lower than the defaults if there are few. */
export function limitsFor(
  defaults: RelayLimits,
  descriptors: number | undefined,
): Pick<RelayLimits, Derived> {
  const free = descriptors === undefined ? Infinity : descriptors - 2 * reserveOf(descriptors);
  const derived = Object.entries(PARTS).map(([name, part]) => [
    name,
    Math.max(1, Math.min(defaults[name as Derived], Math.floor(free * part))),
  ]);
  return Object.fromEntries(derived) as Pick<RelayLimits, Derived>;
}

/** Logs which limits few descriptors lower, and which `given` limits are too high for them. */
export function warnOfFewDescriptors(
  descriptors: number | undefined,
  given: Partial<RelayLimits>,
  log: Pick<Logger, 'warn'>,
): void {
  const derived = Object.entries(limitsFor(LIMITS, descriptors)) as [Derived, number][];
  const lowered = derived.filter(([name, value]) => given[name] === undefined && value < LIMITS[name]);
  const tooHigh = derived.filter(([name, value]) => value < LIMITS[name] && (given[name] ?? 0) > value);
  if (lowered.length > 0)
    log.warn(
      { descriptors, limits: Object.fromEntries(lowered) },
      'few file descriptors: these limits are lower than their defaults; raise the limit (ulimit -n, LimitNOFILE)',
    );
  if (tooHigh.length > 0)
    log.warn(
      { descriptors, suggested: Object.fromEntries(tooHigh) },
      'few file descriptors: these limits are set higher than the descriptors allow; raise the limit (ulimit -n, LimitNOFILE)',
    );
}

/** Whether a descriptor is free for another connection. */
export class Descriptors {
  /** Connections rejected because too few descriptors were free. */
  refused = 0;
  readonly limit: number | undefined;
  readonly #reserve: number;
  readonly #log: Logger;
  #saidAt = -Infinity;
  #refusedThen = 0;

  constructor(limit: number | undefined, log: Logger) {
    this.limit = limit;
    this.#reserve = limit === undefined ? 0 : reserveOf(limit);
    this.#log = log;
  }

  /** For a connection just accepted; false if only the reserve is free. */
  admits(socket: Duplex): boolean {
    return this.#isBelow(socket, this.#reserve);
  }

  /** For a data connection. It leaves a second reserve for control channels. */
  admitsData(socket: Duplex): boolean {
    return this.#isBelow(socket, 1.5 * this.#reserve);
  }

  /** For a connection that needs a second descriptor, as `waiting` earlier ones do. It leaves the largest reserve. */
  admitsVisitor(socket: Duplex, waiting = 0): boolean {
    return this.#isBelow(socket, 2 * this.#reserve + waiting);
  }

  #isBelow(socket: Duplex, kept: number): boolean {
    if (this.limit === undefined) return true;
    const descriptor = descriptorOf(socket);
    if (descriptor === undefined || descriptor < this.limit - kept) return true;
    this.refused++;
    this.#say();
    return false;
  }

  #say(): void {
    const now = performance.now();
    if (now - this.#saidAt < SAY_EVERY_MS) return;
    this.#log.warn(
      { limit: this.limit, refused: this.refused - this.#refusedThen },
      'running out of file descriptors: rejecting connections; raise the limit (ulimit -n, LimitNOFILE)',
    );
    this.#saidAt = now;
    this.#refusedThen = this.refused;
  }
}

/**
 * The number of a socket's descriptor, if the system has such numbers. The system assigns the lowest free number, so it
 * tells how many are in use.
 */
function descriptorOf(socket: Duplex): number | undefined {
  const { _handle: handle } = (socketBelow(socket as never) ?? socket) as {
    _handle?: { fd?: number } | null;
  };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}
