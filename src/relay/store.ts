import type { SeenAgents } from './agents/seen.js';
import { MemoryStore } from './store/memory.js';

/** What a relay remembers across restarts: the owner of each name, its ports, and agents seen. Owns the database. */
export interface Store {
  /** Number of failed writes. */
  readonly failures: number;
  /** The last use of any name, milliseconds since the epoch. */
  newestUse(): number | undefined;
  /** The reservation of a name, expired or not; undefined if it was never used. */
  reservation(name: string): Reservation | undefined;
  /** Number of names reserved for an identity or from a network, last used after `since` and first used after `firstAfter`. */
  countReservations(of: ReservedBy, since: number, firstAfter?: number): number;
  /** Reserves `name` for `address`, or updates its last use. Resolves once it is on disk. */
  reserve(name: string, address: string, usedAt: number, origin?: Origin): Promise<void>;
  /** The last public port of `name`. */
  port(kind: string, name: string): number | undefined;
  /** The identity that last had this public port, if its reservation was used after `since`. */
  portHolder(kind: string, port: number, since: number): string | undefined;
  /** Stores the public port of `name`. Other names lose it. */
  rememberPort(kind: string, name: string, port: number): Promise<void>;
  /** Address of the known key of the peer at this URL. */
  peerKey(url: string): string | undefined;
  /** Stores a peer's key and replaces the previous one. */
  rememberPeer(url: string, address: string): Promise<void>;
  /** Names reserved for `address` and last used after `since`, with their ports, sorted. */
  reservationsOf(address: string, since: number): ReservedName[];
  /** Removes the reservation of `name` by `address`, and its ports; resolves with whether there was one. */
  release(name: string, address: string): Promise<boolean>;
  /** Agents that were connected. */
  readonly seen: SeenAgents;
  /** Removes reservations last used before `before`, their ports, and agents not seen since. */
  forget(before: number): void;
  close(): Promise<void>;
}

export interface Reservation {
  readonly address: string;
  /** Milliseconds since the epoch, for both. */
  readonly usedAt: number;
  readonly firstAt: number;
}

/** When the identity first used the name, and a tag of the network that used it last. */
export interface Origin {
  readonly firstAt: number;
  /** Empty: unknown. */
  readonly network: string;
}

export type ReservedBy = { readonly address: string } | { readonly network: string };

export interface ReservedName {
  readonly name: string;
  readonly usedAt: number;
  readonly tcp: number | null;
  readonly udp: number | null;
}

/** Opens the store, and creates it if needed. `memory` keeps nothing after this process and needs no SQLite. */
export async function openStore(where: { file: string } | 'memory'): Promise<Store> {
  if (where === 'memory') return new MemoryStore();
  const { openSqliteStore } = await import('./store/sqlite.js');
  return openSqliteStore(where.file);
}
