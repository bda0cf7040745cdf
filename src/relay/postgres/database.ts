import { Socket } from 'node:net';
import { Client, DatabaseError, Pool, type ClientBase, type PoolConfig, type QueryResultRow } from 'pg';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { urlsOfHosts } from './hosts.js';

/** Timeouts, in milliseconds, and the size of the pool. The server ends a statement before the client stops waiting for it. */
export interface DatabaseSettings {
  readonly connectMs: number;
  readonly statementMs: number;
  readonly responseMs: number;
  readonly idleMs: number;
  /** Connections of one node, in addition to the one that listens for changes. */
  readonly connections: number;
  /** The first and the longest pause before another attempt while the database does not respond. */
  readonly retryMs: number;
  readonly maxRetryMs: number;
}

const DATABASE: DatabaseSettings = {
  connectMs: 3_000,
  statementMs: 4_000,
  responseMs: 5_000,
  idleMs: 30_000,
  connections: 8,
  retryMs: 100,
  maxRetryMs: 2_000,
};

export interface DatabaseOptions {
  /** With one host or several. May contain a password: it must not reach a log. */
  readonly url: string;
  readonly settings?: Partial<DatabaseSettings>;
  readonly log: Logger;
}

export type Query = <Row extends QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** The message that agents get while the database fails. The log has the reason. */
const BUSY = 'the database of this relay does not respond';
const RETRY_AFTER_MS = 1_000;

/**
 * A pool of connections to a PostgreSQL server. Every query has a timeout. While the server does not respond, queries are
 * rejected immediately, except one at a time after increasing pauses. Throws `relay_busy`. With several hosts, each failure leads
 * to the next host, until one accepts writes.
 */
export class Database {
  readonly settings: DatabaseSettings;
  readonly #options: DatabaseOptions;
  readonly #urls: readonly string[];
  /** How often the host changed. */
  #host = 0;
  #pool: Pool;
  /** Undefined while it responds. */
  #outage: { readonly reason: string; until: number; pauseMs: number } | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.settings = { ...DATABASE, ...options.settings };
    this.#urls = urlsOfHosts(options.url);
    this.#pool = this.#openPool();
  }

  /** How many hosts the URL has. */
  get hosts(): number {
    return this.#urls.length;
  }

  /** Which host connections use now, as a number that rises. */
  get host(): number {
    return this.#host;
  }

  /** Uses the next host of the URL, unless that happened since a connection used `host`. */
  leave(host: number): void {
    if (host !== this.#host || this.#urls.length === 1 || this.#closing) return;
    this.#host++;
    const former = this.#pool;
    this.#pool = this.#openPool();
    void former.end().catch(() => undefined);
  }

  /** Whether it cannot be used now, for everyone to read: the log has the reason, which names hosts. */
  problem(): string | undefined {
    return this.#outage && BUSY;
  }

  readonly query: Query = async <Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ) => {
    const result = await this.#attempt(() => this.#pool.query<Row>(text, [...values]));
    return result.rows;
  };

  /** Runs statements that take effect together, or not at all. */
  transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.#attempt(async () => {
      const client = await this.#pool.connect();
      // It may end between two statements. The next one fails then.
      client.on('error', ignore);
      try {
        const result = await inTransaction(client, run);
        client.off('error', ignore);
        client.release();
        return result;
      } catch (error) {
        // Its state is unknown. It may fail again until it is closed.
        client.release(true);
        throw error;
      }
    });
  }

  /** A connection outside the pool, not yet open. `destroy` ends it even if the server does not respond. */
  connection(responseMs = this.settings.responseMs): { client: Client; destroy: () => void } {
    const socket = new Socket();
    const { settings } = this;
    const client = new Client({
      ...this.#config(),
      query_timeout: responseMs,
      statement_timeout: Math.max(settings.statementMs, responseMs),
      stream: () => socket,
    });
    return {
      client,
      destroy: () => {
        // It may fail again until it is closed.
        client.on('error', () => undefined);
        client.end().catch(() => undefined);
        socket.destroy();
      },
    };
  }

  /** Call when another connection to this database failed, which used `host`. */
  failed(error: unknown, host: number): void {
    if (this.#closing) return;
    this.leave(host);
    const { retryMs, maxRetryMs } = this.settings;
    const reason = asPortalError(error).message;
    if (!this.#outage) this.#options.log.error({ err: error }, BUSY);
    const pauseMs = Math.min((this.#outage?.pauseMs ?? retryMs / 2) * 2, maxRetryMs);
    this.#outage = { reason, pauseMs, until: performance.now() + pauseMs * (0.5 + Math.random()) };
  }

  /** Call when another connection to this database works. */
  works(): void {
    if (this.#outage) this.#options.log.info({}, 'the database of this relay responds again');
    this.#outage = undefined;
  }

  /** Lets queries finish, and closes all connections. */
  close(): Promise<void> {
    return (this.#closing ??= this.#pool.end());
  }

  async #attempt<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closing) throw busy(new Error('the connections are closed'));
    const outage = this.#outage;
    if (outage) {
      if (performance.now() < outage.until) throw busy(new Error(outage.reason));
      outage.until = performance.now() + this.settings.responseMs;
    }
    const host = this.#host;
    try {
      const result = await run();
      this.works();
      return result;
    } catch (error) {
      if (error instanceof PortalError) throw error;
      if (isOutage(error)) this.failed(error, host);
      else this.#options.log.error({ err: error }, 'the database rejected a statement');
      throw busy(error);
    }
  }

  #openPool(): Pool {
    const { connections, idleMs } = this.settings;
    const pool = new Pool({ ...this.#config(), max: connections, idleTimeoutMillis: idleMs });
    // An idle connection that ends is replaced when it is needed.
    pool.on('error', (error) =>
      this.#options.log.debug({ err: error }, 'a connection to the database ended'),
    );
    return pool;
  }

  #config(): PoolConfig {
    const { connectMs, statementMs, responseMs } = this.settings;
    return {
      connectionString: withVerifiedTls(this.#urls[this.#host % this.#urls.length]!),
      application_name: 'portal relay',
      connectionTimeoutMillis: connectMs,
      statement_timeout: statementMs,
      lock_timeout: statementMs,
      idle_in_transaction_session_timeout: responseMs,
      query_timeout: responseMs,
      keepAlive: true,
    };
  }
}

/**
 * `pg` verifies the server's certificate in every mode with TLS, and warns on stderr that a later version may not. The explicit
 * mode says the same.
 */
function withVerifiedTls(url: string): string {
  return url.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/, '$1verify-full');
}

const ignore = (): void => undefined;

/** The statements of `run` in one transaction of `client`. */
export async function inTransaction<T>(
  client: ClientBase,
  run: (query: Query) => Promise<T>,
  mode = 'READ COMMITTED',
): Promise<T> {
  await client.query(`BEGIN ISOLATION LEVEL ${mode}`);
  try {
    const result = await run(queryOf(client));
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

export function queryOf(client: ClientBase): Query {
  return async <Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) =>
    (await client.query<Row>(text, [...values])).rows;
}

/** The error of a call that the database did not execute, or may not have executed. */
export function busy(cause?: unknown): PortalError {
  return new PortalError('relay_busy', BUSY, { cause, retryAfterMs: RETRY_AFTER_MS });
}

/** The five characters of an error that the server sent (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
function sqlState(error: unknown): string | undefined {
  const cause = error instanceof PortalError ? error.cause : error;
  return cause instanceof DatabaseError ? cause.code : undefined;
}

/** Whether another statement would fail, too. The pool being busy is no outage. */
function isOutage(error: unknown): boolean {
  const state = sqlState(error);
  // Connection, authorization, missing database, resources, shutdown, read-only (a standby).
  if (state !== undefined) return /^(08|28|3D|53|57P|25006)/.test(state);
  return !(error instanceof Error && error.message === 'timeout exceeded when trying to connect');
}

/** Whether repeating the statement of this error could help. */
export function isTemporary(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || !/^(22|23|42)/.test(state);
}
