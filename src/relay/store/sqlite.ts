import { dirname } from 'node:path';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { keepPrivate, makePrivateFolder } from '../../lib/private-file.js';
import { isReadOnly, ReopeningStore } from './reopening.js';
import { SqliteSeenAgents } from './sqlite-seen.js';
import type { Origin, Reservation, ReservedBy, ReservedName, SeenAgents, Store } from './store.js';
import { findSqlite, type Database, type OpenDatabase } from './sqlite-driver.js';

interface Waiter {
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** A store in a SQLite file, which it creates if missing. `driver` is for tests. */
export async function openSqliteStore(file: string, driver?: OpenDatabase): Promise<Store> {
  const open = driver ?? (await findSqlite());
  try {
    await makePrivateFolder(dirname(file));
    // SQLite gives its -wal and -shm files the mode of the database.
    await keepPrivate(file, { create: true });
    await Promise.all(['-wal', '-shm'].map((suffix) => keepPrivate(`${file}${suffix}`)));
    return new ReopeningStore(() => new SqliteStore(open(file)));
  } catch (error) {
    throw new PortalError(
      'state_unwritable',
      `the relay's store ${file} cannot be opened: ${asPortalError(error).message}`,
      {
        cause: error,
        ...(isReadOnly(error) && {
          hint: `Give ${file}, its -wal and -shm files and their folder to the user that runs the relay (chown). If the file system is read-only, use another folder: --data-dir.`,
        }),
      },
    );
  }
}

class SqliteStore implements Store {
  failures = 0;
  readonly #db;
  readonly #select;
  readonly #all;
  readonly #newest;
  readonly #countByAddress;
  readonly #countByNetwork;
  readonly #upsert;
  readonly #delete;
  readonly #port;
  readonly #portHolder;
  readonly #takePort;
  readonly #upsertPort;
  readonly #deletePorts;
  readonly #peerKey;
  readonly #upsertPeer;
  readonly #reservationsOf;
  readonly #release;
  readonly #releasePorts;
  readonly seen: SeenAgents;
  /** Writes of the open transaction, if there is one. */
  #waiters: Waiter[] = [];
  #commit: NodeJS.Immediate | undefined;

  constructor(db: Database) {
    this.#db = db;
    // First: another process may be closing or opening the file.
    db.exec('PRAGMA busy_timeout = 2000');
    db.exec('PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    db.exec(
      'CREATE TABLE IF NOT EXISTS reservations (name TEXT PRIMARY KEY, address TEXT NOT NULL, used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID',
    );
    db.exec('CREATE INDEX IF NOT EXISTS reservations_by_address ON reservations (address, used_at)');
    // Files of earlier versions lack these columns.
    addColumn(db, 'reservations', 'first_at', 'INTEGER NOT NULL DEFAULT 0');
    addColumn(db, 'reservations', 'network', "TEXT NOT NULL DEFAULT ''");
    db.exec('CREATE INDEX IF NOT EXISTS reservations_by_network ON reservations (network, used_at)');
    this.#select = db.prepare(
      'SELECT address, used_at AS usedAt, first_at AS firstAt FROM reservations WHERE name = ?',
    );
    this.#all = db.prepare(
      'SELECT name, address, used_at AS usedAt, first_at AS firstAt FROM reservations WHERE used_at > ?',
    );
    this.#newest = db.prepare('SELECT max(max(used_at), max(first_at)) AS at FROM reservations');
    const count = (by: string) =>
      db.prepare(`SELECT count(*) AS n FROM reservations WHERE ${by} = ? AND used_at > ? AND first_at > ?`);
    this.#countByAddress = count('address');
    this.#countByNetwork = count('network');
    this.#upsert = db.prepare(
      // SQLite evaluates each expression with the row as it was.
      'INSERT INTO reservations (name, address, used_at, first_at, network) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE SET address = excluded.address, used_at = excluded.used_at, first_at = iif(address = excluded.address AND used_at > ?6, first_at, excluded.first_at), network = excluded.network WHERE address = excluded.address OR used_at <= ?6',
    );
    this.#delete = db.prepare('DELETE FROM reservations WHERE used_at < ?');
    db.exec(
      'CREATE TABLE IF NOT EXISTS ports (kind TEXT NOT NULL, name TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID',
    );
    db.exec('CREATE UNIQUE INDEX IF NOT EXISTS ports_by_number ON ports (kind, port)');
    this.#port = db.prepare('SELECT port FROM ports WHERE kind = ? AND name = ?');
    this.#portHolder = db.prepare(
      'SELECT address FROM ports JOIN reservations USING (name) WHERE kind = ? AND port = ? AND used_at > ?',
    );
    this.#takePort = db.prepare('DELETE FROM ports WHERE kind = ? AND port = ?');
    this.#upsertPort = db.prepare(
      'INSERT INTO ports (kind, name, port) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET port = excluded.port',
    );
    this.#deletePorts = db.prepare('DELETE FROM ports WHERE name NOT IN (SELECT name FROM reservations)');
    db.exec(
      'CREATE TABLE IF NOT EXISTS peers (url TEXT PRIMARY KEY, address TEXT NOT NULL) STRICT, WITHOUT ROWID',
    );
    this.#peerKey = db.prepare('SELECT address FROM peers WHERE url = ?');
    this.#upsertPeer = db.prepare(
      'INSERT INTO peers (url, address) VALUES (?, ?) ON CONFLICT (url) DO UPDATE SET address = excluded.address',
    );
    this.#reservationsOf = db.prepare(
      "SELECT name, used_at AS usedAt, (SELECT port FROM ports WHERE kind = 'tcp' AND ports.name = reservations.name) AS tcp, (SELECT port FROM ports WHERE kind = 'udp' AND ports.name = reservations.name) AS udp FROM reservations WHERE address = ? AND used_at > ? ORDER BY name",
    );
    this.#release = db.prepare('DELETE FROM reservations WHERE name = ? AND address = ?');
    this.#releasePorts = db.prepare('DELETE FROM ports WHERE name = ?');
    // Finds out now that the file is not writable, and not at the first write.
    db.exec('CREATE TABLE IF NOT EXISTS openings (id INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT');
    db.exec('INSERT INTO openings VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1');
    this.seen = new SqliteSeenAgents(db, (run) => this.#write(run));
  }

  async reservationsOf(address: string, since: number): Promise<ReservedName[]> {
    return this.#reservationsOf.all(address, since) as ReservedName[];
  }

  async release(name: string, address: string): Promise<boolean> {
    let released = false;
    await this.#write(() => {
      released = this.#release.run(name, address).changes > 0;
      if (released) this.#releasePorts.run(name);
    });
    return released;
  }

  async reservation(name: string): Promise<Reservation | undefined> {
    return this.#select.get(name) as Reservation | undefined;
  }

  async reservations(since: number): Promise<Map<string, Reservation>> {
    const rows = this.#all.all(since) as (Reservation & { readonly name: string })[];
    const reservations = new Map<string, Reservation>();
    for (const { name, address, usedAt, firstAt } of rows)
      reservations.set(name, { address, usedAt, firstAt });
    return reservations;
  }

  async newestUse(): Promise<number | undefined> {
    return (this.#newest.get() as { at: number | null }).at ?? undefined;
  }

  async countReservations(of: ReservedBy, since: number, firstAfter = -1): Promise<number> {
    const counted =
      'address' in of
        ? this.#countByAddress.get(of.address, since, firstAfter)
        : this.#countByNetwork.get(of.network, since, firstAfter);
    return (counted as { n: number }).n;
  }

  async reserve(
    name: string,
    address: string,
    usedAt: number,
    { firstAt = usedAt, network = '', expiredAt = Infinity }: Origin = {},
  ): Promise<boolean> {
    let reserved = false;
    await this.#write(() => {
      const { changes } = this.#upsert.run(name, address, usedAt, firstAt, network, expiredAt);
      reserved = changes > 0;
    });
    return reserved;
  }

  async port(kind: string, name: string): Promise<number | undefined> {
    return (this.#port.get(kind, name) as { port: number } | undefined)?.port;
  }

  async portHolder(kind: string, port: number, since: number): Promise<string | undefined> {
    return (this.#portHolder.get(kind, port, since) as { address: string } | undefined)?.address;
  }

  rememberPort(kind: string, name: string, port: number): Promise<void> {
    return this.#write(() => {
      this.#takePort.run(kind, port);
      this.#upsertPort.run(kind, name, port);
    });
  }

  async peerKey(url: string): Promise<string | undefined> {
    return (this.#peerKey.get(url) as { address: string } | undefined)?.address;
  }

  rememberPeer(url: string, address: string): Promise<void> {
    return this.#write(() => this.#upsertPeer.run(url, address));
  }

  async forget(before: number): Promise<void> {
    await Promise.all([
      this.#write(() => {
        this.#delete.run(before);
        this.#deletePorts.run();
      }),
      this.seen.forget(before),
    ]);
  }

  /** Resolves once what `run` wrote is on disk. */
  #write(run: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        // One transaction, and so one fsync, for all writes of this turn of the event loop. Writes immediately, so that a
        // read before the commit sees it.
        if (!this.#commit) {
          this.#db.exec('BEGIN');
          this.#commit = setImmediate(() => this.#commitAll());
        }
        run();
        this.#waiters.push({ resolve, reject });
      } catch (error) {
        this.failures++;
        reject(writeFailed(error));
      }
    });
  }

  async close(): Promise<void> {
    if (this.#commit) this.#commitAll();
    // Moves everything into one file, so that a copy of the file is a backup.
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    this.#db.close();
  }

  #commitAll(): void {
    clearImmediate(this.#commit);
    this.#commit = undefined;
    const waiters = this.#waiters;
    this.#waiters = [];
    try {
      this.#db.exec('COMMIT');
    } catch (error) {
      // SQLite may have rolled back already (https://www.sqlite.org/lang_transaction.html).
      if (this.#db.inTransaction()) this.#rollBack();
      this.failures += waiters.length;
      for (const { reject } of waiters) reject(writeFailed(error));
      return;
    }
    for (const { resolve } of waiters) resolve();
  }

  #rollBack(): void {
    try {
      this.#db.exec('ROLLBACK');
    } catch {
      // No transaction was open.
    }
  }
}

function addColumn(db: Database, table: string, name: string, type: string): void {
  const columns = db.prepare(`PRAGMA table_info(${table})`).all() as { name: string }[];
  if (!columns.some((column) => column.name === name))
    db.exec(`ALTER TABLE ${table} ADD COLUMN ${name} ${type}`);
}

function writeFailed(cause: unknown): PortalError {
  return new PortalError('state_unwritable', 'the relay cannot store names now; its log says why', { cause });
}
