import { LIMITS } from '../../protocol/limits.js';
import type { Database, Query } from '../postgres/database.js';
import type { PostgresWrites } from './postgres-writes.js';
import type { SeenAgent, SeenAgents } from './store.js';

/** New agents of this node between two checks of the total. Counting all rows each time would be slow. */
const CHECK_EVERY = 100;

/** A table of the PostgreSQL store. */
export class PostgresSeenAgents implements SeenAgents {
  readonly #database: Database;
  readonly #writes: PostgresWrites;
  readonly #max: number;
  #added = 0;

  constructor(database: Database, writes: PostgresWrites, max: number = LIMITS.maxSeenAgents) {
    this.#database = database;
    this.#writes = writes;
    this.#max = max;
  }

  note(identity: string, agent: SeenAgent): Promise<void> {
    return this.#writes.run(async () => {
      const { machine, version, seenAt } = agent;
      // Usually only the time changes.
      const known = await this.#database.query(
        'UPDATE portal.agents SET version = $3, seen_at = $4 WHERE identity = $1 AND machine = $2 RETURNING machine',
        [identity, machine, version, seenAt],
      );
      if (known.length === 0) await this.#database.transaction((query) => this.#add(query, identity, agent));
    });
  }

  async of(identity: string, since: number): Promise<SeenAgent[]> {
    await this.#writes.settled();
    const rows = await this.#database.query<{ machine: string; version: string; seen_at: string }>(
      `SELECT machine, version, seen_at FROM portal.agents
       WHERE identity = $1 AND seen_at > $2 ORDER BY seen_at DESC LIMIT $3`,
      [identity, since, LIMITS.maxSeenAgentsPerIdentity],
    );
    return rows.map(({ machine, version, seen_at: seenAt }) => ({
      machine,
      version,
      seenAt: Number(seenAt),
    }));
  }

  forget(before: number): Promise<void> {
    return this.#writes.run(() =>
      this.#database.transaction(async (query) => {
        await query('DELETE FROM portal.agents WHERE seen_at < $1', [before]);
        await this.#trim(query);
      }),
    );
  }

  async #add(query: Query, identity: string, { machine, version, seenAt }: SeenAgent): Promise<void> {
    await query(
      `INSERT INTO portal.agents (identity, machine, version, seen_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (identity, machine) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at`,
      [identity, machine, version, seenAt],
    );
    await query(
      `DELETE FROM portal.agents WHERE identity = $1 AND machine IN
         (SELECT machine FROM portal.agents WHERE identity = $1 ORDER BY seen_at DESC, machine OFFSET $2)`,
      [identity, LIMITS.maxSeenAgentsPerIdentity],
    );
    if (++this.#added % CHECK_EVERY === 0) await this.#trim(query);
  }

  async #trim(query: Query): Promise<void> {
    await query(
      `DELETE FROM portal.agents WHERE (identity, machine) IN
         (SELECT identity, machine FROM portal.agents ORDER BY seen_at DESC OFFSET $1)`,
      [this.#max],
    );
  }
}
