import type Database from 'libsql';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { asPortalError, PortalError } from '../lib/errors.js';

/** What a relay remembers across restarts: which identity a name is reserved for. Owns the database. */
export interface Store {
  /** Who a name is reserved for, expired reservations included; undefined when it was never used. */
  reservation(name: string): Reservation | undefined;
  /** Names reserved for `address` and last used after `since` (ms since the epoch). */
  countReservations(address: string, since: number): number;
  /** Reserves `name` for `address`, or moves its last use. Resolves once it is on disk. */
  reserve(name: string, address: string, usedAt: number): Promise<void>;
  /** Forgets reservations last used before `before`. */
  forget(before: number): void;
  close(): Promise<void>;
}

export interface Reservation {
  readonly address: string;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

interface Write {
  name: string;
  address: string;
  usedAt: number;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** Opens (and where needed makes) the store; `memory` keeps nothing beyond this process. */
export async function openStore(where: { file: string } | 'memory'): Promise<Store> {
  // Loaded here: a native module that commands without a relay need not pay for.
  const { default: Libsql } = await import('libsql');
  const file = where === 'memory' ? ':memory:' : where.file;
  try {
    if (where !== 'memory') mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    return new SqliteStore(new Libsql(file));
  } catch (error) {
    throw new PortalError(
      'state_unwritable',
      `the relay's store ${file} cannot be opened: ${asPortalError(error).message}`,
      {
        cause: error,
      },
    );
  }
}

class SqliteStore implements Store {
  readonly #db;
  readonly #select;
  readonly #count;
  readonly #upsert;
  readonly #delete;
  #writes: Write[] = [];
  #flush: NodeJS.Immediate | undefined;

  constructor(db: Database.Database) {
    this.#db = db;
    db.exec('PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    db.exec('PRAGMA busy_timeout = 2000');
    db.exec(
      'CREATE TABLE IF NOT EXISTS reservations (name TEXT PRIMARY KEY, address TEXT NOT NULL, used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID',
    );
    db.exec('CREATE INDEX IF NOT EXISTS reservations_by_address ON reservations (address, used_at)');
    this.#select = db.prepare('SELECT address, used_at AS usedAt FROM reservations WHERE name = ?');
    this.#count = db.prepare('SELECT count(*) AS n FROM reservations WHERE address = ? AND used_at > ?');
    this.#upsert = db.prepare(
      'INSERT INTO reservations (name, address, used_at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET address = excluded.address, used_at = excluded.used_at',
    );
    this.#delete = db.prepare('DELETE FROM reservations WHERE used_at < ?');
  }

  reservation(name: string): Reservation | undefined {
    // A write that waits for this turn's transaction counts already.
    const waiting = this.#writes.findLast((write) => write.name === name);
    if (waiting) return { address: waiting.address, usedAt: waiting.usedAt };
    return this.#select.get(name) as Reservation | undefined;
  }

  countReservations(address: string, since: number): number {
    return (this.#count.get(address, since) as { n: number }).n;
  }

  reserve(name: string, address: string, usedAt: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writes.push({ name, address, usedAt, resolve, reject });
      // One transaction, and so one fsync, for all leases opened in this turn of the event loop.
      this.#flush ??= setImmediate(() => this.#writeAll());
    });
  }

  forget(before: number): void {
    this.#delete.run(before);
  }

  async close(): Promise<void> {
    if (this.#flush) clearImmediate(this.#flush);
    this.#writeAll();
    this.#db.close();
  }

  #writeAll(): void {
    this.#flush = undefined;
    const writes = this.#writes;
    this.#writes = [];
    if (writes.length === 0) return;
    try {
      this.#db.transaction(() => {
        for (const { name, address, usedAt } of writes) this.#upsert.run(name, address, usedAt);
      })();
    } catch (error) {
      const failure = new PortalError('internal', "the relay's store refused a write", { cause: error });
      for (const write of writes) write.reject(failure);
      return;
    }
    for (const write of writes) write.resolve();
  }
}
