import { LIMITS } from '../../protocol/limits.js';
import type { Database } from '../store/engine.js';

/** An agent that was here: its machine is what its owner knows it by. */
export interface SeenAgent {
  readonly machine: string;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly seenAt: number;
}

/**
 * Which machines an identity had agents on, and when they were seen last. Bounded for each identity and in all; who was
 * not seen for longest is forgotten first.
 */
export interface SeenAgents {
  /** Notes that `identity` had an agent on a machine at `seenAt`. */
  note(identity: string, agent: SeenAgent): Promise<void>;
  /** Those of `identity`, seen after `since`; the last first. */
  of(identity: string, since: number): SeenAgent[];
  forget(before: number): void;
}

type Write = (run: () => void) => Promise<void>;

/** A table of the relay's store. */
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
  /** Exact, but where a transaction failed; `forget` counts anew. */
  #count: number;

  /** `write` runs what it is given in a transaction of the store. */
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
      // Most are known, and nothing but their time changes: to count all rows each time is dear when there are many.
      if (this.#update.run(version, seenAt, identity, machine).changes > 0) return;
      this.#insert.run(identity, machine, version, seenAt);
      const trimmed = this.#trim.run(identity, identity, LIMITS.maxSeenAgentsPerIdentity);
      this.#count += 1 - Number(trimmed.changes);
      if (this.#count > this.#max) this.#count -= Number(this.#oldest.run(this.#count - this.#max).changes);
    });
  }

  of(identity: string, since: number): SeenAgent[] {
    return this.#of.all(identity, since, LIMITS.maxSeenAgentsPerIdentity) as SeenAgent[];
  }

  forget(before: number): void {
    this.#delete.run(before);
    this.#count = this.#size();
  }

  #size(): number {
    return (this.#db.prepare('SELECT count(*) AS n FROM agents').get() as { n: number }).n;
  }
}
