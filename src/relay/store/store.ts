import { MemoryStore } from './memory.js';

/**
 * What a relay remembers across restarts: the owner of each name, its ports, and agents seen. An engine is a file next to
 * this one that passes the tests in `contract.ts`; only engines know their database.
 *
 * A read sees every write that was requested before it, also one that has not resolved yet. A write resolves once it is on disk.
 */
export interface Store {
  /** Number of failed writes. */
  readonly failures: number;
  /**
   * The last use of any name, or the first use if that is later: a name that was not held for long is stored with an older last
   * use. Milliseconds since the epoch.
   */
  newestUse(): Promise<number | undefined>;
  /** The reservation of a name, expired or not; undefined if it was never used. */
  reservation(name: string): Promise<Reservation | undefined>;
  /** The reservations last used after `since`, by name. */
  reservations(since: number): Promise<Map<string, Reservation>>;
  /** Number of names reserved for an identity or from a network, last used after `since` and first used after `firstAfter`. */
  countReservations(of: ReservedBy, since: number, firstAfter?: number): Promise<number>;
  /**
   * Reserves `name` for `address`, or updates its last use. Resolves with false, and changes nothing, if another identity
   * has a reservation that has not expired.
   */
  reserve(name: string, address: string, usedAt: number, origin?: Origin): Promise<boolean>;
  /** The last public port of `name`. */
  port(kind: string, name: string): Promise<number | undefined>;
  /** The identity that last had this public port, if its reservation was used after `since`. */
  portHolder(kind: string, port: number, since: number): Promise<string | undefined>;
  /** Stores the public port of `name`. Other names lose it. */
  rememberPort(kind: string, name: string, port: number): Promise<void>;
  /** Address of the known key of the peer at this URL. */
  peerKey(url: string): Promise<string | undefined>;
  /** Stores a peer's key and replaces the previous one. */
  rememberPeer(url: string, address: string): Promise<void>;
  /** Names reserved for `address` and last used after `since`, with their ports, sorted. */
  reservationsOf(address: string, since: number): Promise<ReservedName[]>;
  /** Removes the reservation of `name` by `address`, and its ports; resolves with whether there was one. */
  release(name: string, address: string): Promise<boolean>;
  /** Agents that were connected. */
  readonly seen: SeenAgents;
  /** Removes reservations last used before `before`, their ports, and agents not seen since. */
  forget(before: number): Promise<void>;
  close(): Promise<void>;
}

export interface Reservation {
  readonly address: string;
  /** Milliseconds since the epoch, for both. */
  readonly usedAt: number;
  readonly firstAt: number;
}

/** Where a use of a name comes from. */
export interface Origin {
  /** When the identity first used the name, if it has no reservation. Default: now. */
  readonly firstAt?: number;
  /** A tag of the network. Default: empty, which is unknown. */
  readonly network?: string;
  /** Reservations last used until then have expired. Default: all have. */
  readonly expiredAt?: number;
}

export type ReservedBy = { readonly address: string } | { readonly network: string };

export interface ReservedName {
  readonly name: string;
  readonly usedAt: number;
  readonly tcp: number | null;
  readonly udp: number | null;
}

/** An agent that was connected. Its owner knows it by its machine. */
export interface SeenAgent {
  readonly machine: string;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly seenAt: number;
}

/**
 * The machines of each identity's agents, and when they were last seen. Limited per identity and in total; forgets the
 * longest unseen first.
 */
export interface SeenAgents {
  /** Stores that `identity` had an agent on a machine at `seenAt`. */
  note(identity: string, agent: SeenAgent): Promise<void>;
  /** The agents of `identity` seen after `since`, newest first. */
  of(identity: string, since: number): Promise<SeenAgent[]>;
  /** Removes agents not seen since `before`. */
  forget(before: number): Promise<void>;
}

/** Opens the store, and creates it if needed. `memory` keeps nothing after this process and needs no SQLite. */
export async function openStore(where: { file: string } | 'memory'): Promise<Store> {
  if (where === 'memory') return new MemoryStore();
  const { openSqliteStore } = await import('./sqlite.js');
  return openSqliteStore(where.file);
}
