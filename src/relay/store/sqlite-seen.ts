import { LIMITS } from '../../protocol/limits.js';
import type { Database } from './sqlite-driver.js';
import type { SeenAgent, SeenAgents } from './store.js';

type Write = (run: () => void) => Promise<void>;

/** A table of the SQLite store. */
export class SqliteSeenAgents implements SeenAgents {
  readonly #write: Write;
  readonly #update;
  readonly #insert;
  readonly #trim;
  readonly #oldest;
  readonly #of;
  readonly #delete;
  readonly #db;
  readonly #max: number;
  /** Number of rows. A failed transaction may make it wrong; `forget` counts again. */
  #count: number;

  /** `write` runs a function in a transaction of the store. */
  constructor(db: Database, write: Write, max: number = LIMITS.maxSeenAgents) {
    this.#db = db;
    this.#write = write;
    this.#max = max;
    db.exec(
      'CREATE TABLE IF NOT EXISTS agents (identity TEXT NOT NULL, machine TEXT NOT NULL, version TEXT NOT NULL, seen_at INTEGER NOT NULL, PRIMARY KEY (identity, machine)) STRICT, WITHOUT ROWID',
    );
    db.exec('CREATE INDEX IF NOT EXISTS agents_by_age ON agents (seen_at)');
    this.#update = db.prepare(
      'UPDATE agents SET version = ?, seen_at = ? WHERE identity = ? AND machine = ?',
    );
    this.#insert = db.prepare('INSERT INTO agents (identity, machine, version, seen_at) VALUES (?, ?, ?, ?)');
    this.#trim = db.prepare(
      'DELETE FROM agents WHERE identity = ? AND machine NOT IN (SELECT machine FROM agents WHERE identity = ? ORDER BY seen_at DESC, machine LIMIT ?)',
    );
    this.#oldest = db.prepare(
      'DELETE FROM agents WHERE (identity, machine) IN (SELECT identity, machine FROM agents ORDER BY seen_at LIMIT ?)',
    );
    this.#of = db.prepare(
      'SELECT machine, version, seen_at AS seenAt FROM agents WHERE identity = ? AND seen_at > ? ORDER BY seen_at DESC LIMIT ?',
    );
    this.#delete = db.prepare('DELETE FROM agents WHERE seen_at < ?');
    this.#count = this.#size();
  }

  note(identity: string, { machine, version, seenAt }: SeenAgent): Promise<void> {
    return this.#write(() => {
      // Usually only the time changes. Counting all rows each time would be slow.
      if (this.#update.run(version, seenAt, identity, machine).changes > 0) return;
      this.#insert.run(identity, machine, version, seenAt);
      const trimmed = this.#trim.run(identity, identity, LIMITS.maxSeenAgentsPerIdentity);
      this.#count += 1 - Number(trimmed.changes);
      if (this.#count > this.#max) this.#count -= Number(this.#oldest.run(this.#count - this.#max).changes);
    });
  }

  async of(identity: string, since: number): Promise<SeenAgent[]> {
    return this.#of.all(identity, since, LIMITS.maxSeenAgentsPerIdentity) as SeenAgent[];
  }

  forget(before: number): Promise<void> {
    return this.#write(() => {
      this.#delete.run(before);
      this.#count = this.#size();
    });
  }

  #size(): number {
    return (this.#db.prepare('SELECT count(*) AS n FROM agents').get() as { n: number }).n;
  }
}
