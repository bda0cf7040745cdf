import type { SeenAgents } from './agents/seen.js';
import { MemoryStore } from './store/memory.js';

/** What a relay remembers across restarts: which identity a name is reserved for, its ports, who was here. Owns the database. */
export interface Store {
  /** How many writes have failed. */
  readonly failures: number;
  /** The last use of any name, ms since the epoch. */
  newestUse(): number | undefined;
  /** Who a name is reserved for, expired reservations included; undefined when it was never used. */
  reservation(name: string): Reservation | undefined;
  /** Names reserved for an identity or out of a network, last used after `since` and first used after `firstAfter`. */
  countReservations(of: ReservedBy, since: number, firstAfter?: number): number;
  /** Reserves `name` for `address`, or moves its last use. Resolves once it is on disk. */
  reserve(name: string, address: string, usedAt: number, origin?: Origin): Promise<void>;
  /** The public port that `name` had last. */
  port(kind: string, name: string): number | undefined;
  /** Whose reservation, used after `since`, last had this public port. */
  portHolder(kind: string, port: number, since: number): string | undefined;
  /** Notes the public port of `name`; nobody else had it last from now on. */
  rememberPort(kind: string, name: string, port: number): Promise<void>;
  /** Address of the key that the peer at this URL had. */
  peerKey(url: string): string | undefined;
  /** Notes a peer's key, in place of the one before. */
  rememberPeer(url: string, address: string): Promise<void>;
  /** Names reserved for `address` and last used after `since`, with their ports; in order. */
  reservationsOf(address: string, since: number): ReservedName[];
  /** Gives up the reservation that `address` has of `name`, and its ports; whether there was one. */
  release(name: string, address: string): Promise<boolean>;
  /** Agents that were here. */
  readonly seen: SeenAgents;
  /** Forgets reservations last used before `before`, their ports, and agents that were not seen since. */
  forget(before: number): void;
  close(): Promise<void>;
}

export interface Reservation {
  readonly address: string;
  /** Milliseconds since the epoch, both. */
  readonly usedAt: number;
  readonly firstAt: number;
}

/** Where a reservation comes from: the first use by its identity, and a tag of the network that it was last used from. */
export interface Origin {
  readonly firstAt: number;
  /** Empty: not known. */
  readonly network: string;
}

export type ReservedBy = { readonly address: string } | { readonly network: string };

export interface ReservedName {
  readonly name: string;
  readonly usedAt: number;
  readonly tcp: number | null;
  readonly udp: number | null;
}

/** Opens (and where needed makes) the store; `memory` keeps nothing beyond this process, and needs no SQLite. */
export async function openStore(where: { file: string } | 'memory'): Promise<Store> {
  if (where === 'memory') return new MemoryStore();
  const { openSqliteStore } = await import('./store/sqlite.js');
  return openSqliteStore(where.file);
}
