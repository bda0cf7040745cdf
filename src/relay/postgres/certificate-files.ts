import type { CertificateFiles } from '../../certificates/acme/files.js';
import type { Identity } from '../../identity/identity.js';
import { delay } from '../../lib/wait.js';
import { queryOf, type Database } from './database.js';
import { SealedText } from './sealed-text.js';

/** How long to wait for another node that orders a certificate, and how often to look. */
const LOCK_MS = 600_000;
const RETRY_MS = 1_000;

/**
 * The account keys and certificates of a relay with several nodes. The texts are encrypted with a key that only the nodes have, so
 * a copy of the database contains no private key.
 */
export class PostgresCertificateFiles implements CertificateFiles {
  readonly #database: Database;
  readonly #sealed: SealedText;

  constructor(database: Database, identity: Identity) {
    this.#database = database;
    this.#sealed = new SealedText(identity.derive('certificates in a database'));
  }

  async read(name: string): Promise<string | undefined> {
    const [row] = await this.#database.query<{ sealed: string }>(
      'SELECT sealed FROM portal.files WHERE name = $1',
      [name],
    );
    return row && this.#sealed.open(name, row.sealed);
  }

  async create(name: string, text: string): Promise<boolean> {
    const created = await this.#database.query(
      'INSERT INTO portal.files (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING name',
      [name, this.#sealed.seal(name, text)],
    );
    return created.length > 0;
  }

  async replace(name: string, text: string): Promise<void> {
    await this.#database.query(
      `INSERT INTO portal.files (name, sealed) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed`,
      [name, this.#sealed.seal(name, text)],
    );
  }

  async remove(name: string): Promise<void> {
    await this.#database.query('DELETE FROM portal.files WHERE name = $1', [name]);
  }

  /** The lock ends with its connection, and so with this process. */
  async exclusively<T>(name: string, run: () => Promise<T>, stop: AbortSignal): Promise<T> {
    const { client, destroy } = this.#database.connection();
    client.on('error', () => undefined);
    const signal = AbortSignal.any([stop, AbortSignal.timeout(LOCK_MS)]);
    try {
      await client.connect();
      const isLocked = async (): Promise<boolean> => {
        const [row] = await queryOf(client)<{ isLocked: boolean }>(
          'SELECT pg_try_advisory_lock(hashtextextended($1, 1)) AS "isLocked"',
          [name],
        );
        return row!.isLocked;
      };
      while (!(await isLocked())) await delay(RETRY_MS, signal);
      return await run();
    } finally {
      destroy();
    }
  }
}
