import type { Origin, Reservation, ReservedBy, ReservedName, SeenAgents, Store } from './store.js';

/**
 * A store that reopens its file when SQLite reports it as read-only. If the file or its filesystem was replaced, the open
 * connection stays read-only.
 */
export class ReopeningStore implements Store {
  readonly #open: () => Store;
  #store: Store;
  #failuresBefore = 0;

  constructor(open: () => Store) {
    this.#open = open;
    this.#store = open();
  }

  get failures(): number {
    return this.#failuresBefore + this.#store.failures;
  }

  get seen(): SeenAgents {
    return this.#store.seen;
  }

  newestUse(): Promise<number | undefined> {
    return this.#store.newestUse();
  }

  reservation(name: string): Promise<Reservation | undefined> {
    return this.#store.reservation(name);
  }

  reservations(since: number): Promise<Map<string, Reservation>> {
    return this.#store.reservations(since);
  }

  countReservations(of: ReservedBy, since: number, firstAfter?: number): Promise<number> {
    return this.#store.countReservations(of, since, firstAfter);
  }

  reservationsOf(address: string, since: number): Promise<ReservedName[]> {
    return this.#store.reservationsOf(address, since);
  }

  port(kind: string, name: string): Promise<number | undefined> {
    return this.#store.port(kind, name);
  }

  portHolder(kind: string, port: number, since: number): Promise<string | undefined> {
    return this.#store.portHolder(kind, port, since);
  }

  peerKey(url: string): Promise<string | undefined> {
    return this.#store.peerKey(url);
  }

  reserve(name: string, address: string, usedAt: number, origin?: Origin): Promise<boolean> {
    return this.#write((store) => store.reserve(name, address, usedAt, origin));
  }

  rememberPort(kind: string, name: string, port: number): Promise<void> {
    return this.#write((store) => store.rememberPort(kind, name, port));
  }

  rememberPeer(url: string, address: string): Promise<void> {
    return this.#write((store) => store.rememberPeer(url, address));
  }

  release(name: string, address: string): Promise<boolean> {
    return this.#write((store) => store.release(name, address));
  }

  forget(before: number): Promise<void> {
    return this.#write((store) => store.forget(before));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Writes immediately, so that a later read sees it. Writes again if it had to reopen the file. */
  #write<T>(run: (store: Store) => Promise<T>): Promise<T> {
    const store = this.#store;
    return run(store).catch((error: unknown) => {
      if (!isReadOnly(error) || !this.#reopen(store)) throw error;
      return run(this.#store);
    });
  }

  /** Whether a store other than `failed` is open now. */
  #reopen(failed: Store): boolean {
    // The first of several failed writes reopens it.
    if (this.#store !== failed) return true;
    try {
      this.#store = this.#open();
    } catch {
      return false;
    }
    this.#failuresBefore += failed.failures;
    failed.close().catch(() => undefined);
    return true;
  }
}

/** SQLITE_READONLY and its extended codes, as both engines report them (https://www.sqlite.org/rescode.html#readonly). */
export function isReadOnly(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code, errcode } = one as { code?: unknown; errcode?: unknown };
    if (typeof code === 'string' && code.startsWith('SQLITE_READONLY')) return true;
    if (typeof errcode === 'number' && (errcode & 0xff) === 8) return true;
  }
  return false;
}
