import type { Database } from '../postgres/database.js';
import { lock } from '../postgres/schema.js';
import { PostgresSeenAgents } from './postgres-seen.js';
import { PostgresWrites } from './postgres-writes.js';
import type { Origin, Reservation, ReservedBy, ReservedName, SeenAgents, Store } from './store.js';

/** How long a write may wait for the writes before it. Agents are stored all together, once an hour. */
const WAIT_MS = 10_000;
const AGENTS_WAIT_MS = 300_000;

/** Later than every time: JSON and SQL have no infinity for integers. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** Counts and times, which `pg` returns as text, because they may exceed a number of JavaScript. */
type Big = string;

/** A store in PostgreSQL, which all nodes of a relay use. `onClosed` is called when no more queries follow. */
export class PostgresStore implements Store {
  readonly seen: SeenAgents;
  readonly #database: Database;
  readonly #onClosed: () => Promise<void>;
  readonly #writes = new PostgresWrites(WAIT_MS);
  /** Names do not wait for agents. */
  readonly #agentWrites = new PostgresWrites(AGENTS_WAIT_MS);

  /** The database has its tables already. */
  constructor(database: Database, onClosed: () => Promise<void>) {
    this.#database = database;
    this.#onClosed = onClosed;
    this.seen = new PostgresSeenAgents(database, this.#agentWrites);
  }

  get failures(): number {
    return this.#writes.failures + this.#agentWrites.failures;
  }

  async newestUse(): Promise<number | undefined> {
    const [row] = await this.#read<{ at: Big | null }>(
      'SELECT greatest(max(used_at), max(first_at)) AS at FROM portal.reservations',
    );
    return row?.at == null ? undefined : Number(row.at);
  }

  async reservation(name: string): Promise<Reservation | undefined> {
    const [row] = await this.#read<ReservationRow>(
      'SELECT name, address, used_at, first_at FROM portal.reservations WHERE name = $1',
      [name],
    );
    return row && reservationOf(row);
  }

  async reservations(since: number): Promise<Map<string, Reservation>> {
    const rows = await this.#read<ReservationRow>(
      'SELECT name, address, used_at, first_at FROM portal.reservations WHERE used_at > $1',
      [since],
    );
    return new Map(rows.map((row) => [row.name, reservationOf(row)]));
  }

  async countReservations(of: ReservedBy, since: number, firstAfter = -1): Promise<number> {
    const [column, value] = 'address' in of ? ['address', of.address] : ['network', of.network];
    const [row] = await this.#read<{ n: Big }>(
      `SELECT count(*) AS n FROM portal.reservations WHERE ${column} = $1 AND used_at > $2 AND first_at > $3`,
      [value, since, firstAfter],
    );
    return Number(row!.n);
  }

  async reserve(
    name: string,
    address: string,
    usedAt: number,
    { firstAt = usedAt, network = '', expiredAt = NEVER }: Origin = {},
  ): Promise<boolean> {
    const rows = await this.#writes.run(() =>
      this.#database.query(
        `INSERT INTO portal.reservations AS present (name, address, used_at, first_at, network)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) DO UPDATE SET
           address = excluded.address, used_at = excluded.used_at, network = excluded.network,
           first_at = CASE WHEN present.address = excluded.address AND present.used_at > $6
             THEN present.first_at ELSE excluded.first_at END
         WHERE present.address = excluded.address OR present.used_at <= $6
         RETURNING name`,
        [name, address, usedAt, firstAt, network, Math.min(expiredAt, NEVER)],
      ),
    );
    return rows.length > 0;
  }

  async port(kind: string, name: string): Promise<number | undefined> {
    const [row] = await this.#read<{ port: number }>(
      'SELECT port FROM portal.ports WHERE kind = $1 AND name = $2',
      [kind, name],
    );
    return row?.port;
  }

  async portHolder(kind: string, port: number, since: number): Promise<string | undefined> {
    const [row] = await this.#read<{ address: string }>(
      `SELECT address FROM portal.ports JOIN portal.reservations USING (name)
       WHERE kind = $1 AND port = $2 AND used_at > $3`,
      [kind, port, since],
    );
    return row?.address;
  }

  async rememberPort(kind: string, name: string, port: number): Promise<void> {
    await this.#writes.run(() =>
      this.#database.transaction(async (query) => {
        // Two nodes could otherwise wait for each other, or both insert the port.
        await lock(query, 'ports');
        await query('DELETE FROM portal.ports WHERE kind = $1 AND port = $2', [kind, port]);
        await query(
          `INSERT INTO portal.ports (kind, name, port) VALUES ($1, $2, $3)
           ON CONFLICT (kind, name) DO UPDATE SET port = excluded.port`,
          [kind, name, port],
        );
      }),
    );
  }

  async peerKey(url: string): Promise<string | undefined> {
    const [row] = await this.#read<{ address: string }>('SELECT address FROM portal.peers WHERE url = $1', [
      url,
    ]);
    return row?.address;
  }

  async rememberPeer(url: string, address: string): Promise<void> {
    await this.#writes.run(() =>
      this.#database.query(
        `INSERT INTO portal.peers (url, address) VALUES ($1, $2)
         ON CONFLICT (url) DO UPDATE SET address = excluded.address`,
        [url, address],
      ),
    );
  }

  async reservationsOf(address: string, since: number): Promise<ReservedName[]> {
    const rows = await this.#read<{ name: string; used_at: Big; tcp: number | null; udp: number | null }>(
      `SELECT name, used_at,
         (SELECT port FROM portal.ports WHERE kind = 'tcp' AND ports.name = reservations.name) AS tcp,
         (SELECT port FROM portal.ports WHERE kind = 'udp' AND ports.name = reservations.name) AS udp
       FROM portal.reservations WHERE address = $1 AND used_at > $2 ORDER BY name`,
      [address, since],
    );
    return rows.map(({ name, used_at: usedAt, tcp, udp }) => ({ name, usedAt: Number(usedAt), tcp, udp }));
  }

  release(name: string, address: string): Promise<boolean> {
    return this.#writes.run(() =>
      this.#database.transaction(async (query) => {
        const released = await query(
          'DELETE FROM portal.reservations WHERE name = $1 AND address = $2 RETURNING name',
          [name, address],
        );
        if (released.length > 0) await query('DELETE FROM portal.ports WHERE name = $1', [name]);
        return released.length > 0;
      }),
    );
  }

  async forget(before: number): Promise<void> {
    const names = this.#writes.run(() =>
      this.#database.transaction(async (query) => {
        await query('DELETE FROM portal.reservations WHERE used_at < $1', [before]);
        await query(
          `DELETE FROM portal.ports
           WHERE NOT EXISTS (SELECT FROM portal.reservations WHERE reservations.name = ports.name)`,
        );
      }),
    );
    await Promise.all([names, this.seen.forget(before)]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#writes.settled(), this.#agentWrites.settled()]);
    await this.#onClosed();
  }

  async #read<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    await this.#writes.settled();
    return this.#database.query<Row>(text, values);
  }
}

interface ReservationRow {
  readonly name: string;
  readonly address: string;
  readonly used_at: Big;
  readonly first_at: Big;
}

const reservationOf = ({ address, used_at: usedAt, first_at: firstAt }: ReservationRow): Reservation => ({
  address,
  usedAt: Number(usedAt),
  firstAt: Number(firstAt),
});
