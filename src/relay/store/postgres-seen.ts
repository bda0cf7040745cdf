import { LIMITS } from '../../protocol/limits.js';
import type { Query } from '../postgres/database.js';
import type { SeenAgent, SeenAgents } from './store.js';

/** How a table of the store reads and writes. */
export interface StoreAccess {
  readonly read: Query;
  readonly write: <T>(run: (query: Query) => Promise<T>) => Promise<T>;
}

/** New agents of this node between two checks of the total. Counting all rows each time would be slow. */
const CHECK_EVERY = 100;

/** A table of the PostgreSQL store. */
export class PostgresSeenAgents implements SeenAgents {
  readonly #access: StoreAccess;
  readonly #max: number;
  #added = 0;

  constructor(access: StoreAccess, max: number = LIMITS.maxSeenAgents) {
    this.#access = access;
    this.#max = max;
  }

  note(identity: string, { machine, version, seenAt }: SeenAgent): Promise<void> {
    return this.#access.write(async (query) => {
      const values = [identity, machine, version, seenAt];
      // Usually only the time changes.
      const known = await query(
        'UPDATE portal.agents SET version = $3, seen_at = $4 WHERE identity = $1 AND machine = $2 RETURNING machine',
        values,
      );
      if (known.length > 0) return;
      await query(
        `INSERT INTO portal.agents (identity, machine, version, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (identity, machine) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at`,
        values,
      );
      await query(
        `DELETE FROM portal.agents WHERE identity = $1 AND machine IN
           (SELECT machine FROM portal.agents WHERE identity = $1 ORDER BY seen_at DESC, machine OFFSET $2)`,
        [identity, LIMITS.maxSeenAgentsPerIdentity],
      );
      if (++this.#added % CHECK_EVERY === 0) await this.#trim(query);
    });
  }

  async of(identity: string, since: number): Promise<SeenAgent[]> {
    const rows = await this.#access.read<{ machine: string; version: string; seen_at: string }>(
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
    return this.#access.write(async (query) => {
      await query('DELETE FROM portal.agents WHERE seen_at < $1', [before]);
      await this.#trim(query);
    });
  }

  async #trim(query: Query): Promise<void> {
    await query(
      `DELETE FROM portal.agents WHERE (identity, machine) IN
         (SELECT identity, machine FROM portal.agents ORDER BY seen_at DESC OFFSET $1)`,
      [this.#max],
    );
  }
}
