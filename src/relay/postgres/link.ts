import type { Client } from 'pg';
import { asPortalError } from '../../lib/errors.js';
import { delay, within } from '../../lib/wait.js';
import type { Changes } from './changes.js';
import { queryOf, type Database } from './database.js';
import type { Lifetime } from './lifetime.js';
import type { NodeRow, OtherNodes } from './other-nodes.js';
import { expel, free, join, leave, listen, readAll, renew } from './statements.js';

export interface LinkSettings {
  /** How often a node renews itself, and how long it lives without. */
  readonly renewMs: number;
  readonly ttlMs: number;
  /** How long a renewal may take. A connection that is slower counts as lost. */
  readonly renewalMs: number;
  /** How long reading all leases may take. */
  readonly readMs: number;
}

export const LINK: LinkSettings = { renewMs: 2_000, ttlMs: 8_000, renewalMs: 2_000, readMs: 30_000 };

export interface LinkOptions {
  readonly database: Database;
  readonly changes: Changes;
  readonly lifetime: Lifetime;
  readonly others: OtherNodes;
  readonly node: string;
  readonly address: string;
  readonly settings: LinkSettings;
}

/** How long a graceful exit waits for the database. */
const LEAVE_MS = 2_000;

/**
 * A node's own connection to the database: it listens for changes there, and renews itself there, so that it
 * notices a connection that no longer receives anything. Connects again after an error, and then reads everything, because changes may be missed.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  #isRegistered = false;
  #isLive = false;
  #isBurying = false;
  /** When the last statement was sent whose response follows all earlier changes. */
  #heardAt = performance.now();
  #ended: Promise<void> | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Whether this node hears of changes now. */
  get live(): boolean {
    return this.#isLive;
  }

  /** This node has heard of every change that is older than this. */
  get lagMs(): number {
    return performance.now() - this.#heardAt;
  }

  /** Registers this node, and reads everything. Throws if the first attempt fails. */
  async start(): Promise<void> {
    const connection = await this.#open();
    this.#ended = this.#run(connection);
  }

  /** Ends the connection. With `leave`, unregisters this node. */
  async close({ leave: leaves }: { leave: boolean }): Promise<void> {
    const { database, node } = this.#options;
    this.#closing.abort();
    await this.#ended;
    if (!leaves || !this.#isRegistered) return;
    await within(
      database.transaction((query) => leave(query, node)),
      LEAVE_MS,
      'leaving the database',
      // If that fails, the other nodes notice it a little later.
    ).catch(() => undefined);
  }

  async #run(first: Connection): Promise<void> {
    let connection: Connection | undefined = first;
    const { database, lifetime, settings } = this.#options;
    const { signal } = this.#closing;
    let pauseMs = 0;
    while (!signal.aborted && lifetime.isCurrent()) {
      const host = connection?.host ?? database.host;
      try {
        connection ??= await this.#open();
        pauseMs = 0;
        await this.#serve(connection);
      } catch (error) {
        this.#isLive = false;
        if (signal.aborted) break;
        database.failed(error, host);
        pauseMs = Math.min(pauseMs * 2 || database.settings.retryMs, settings.renewMs);
      } finally {
        connection?.destroy();
        connection = undefined;
      }
      await delay(pauseMs * (0.5 + Math.random() / 2), signal).catch(() => undefined);
    }
    this.#isLive = false;
    connection?.destroy();
  }

  /** Connects, listens, and reads everything. */
  async #open(): Promise<Connection> {
    const { database, changes, settings } = this.#options;
    const { host } = database;
    const { client, destroy } = database.connection(settings.readMs);
    const lost = new AbortController();
    const fail = (error?: Error): void => lost.abort(error ?? new Error('the connection ended'));
    client.on('error', fail).on('end', () => fail());
    client.on('notification', ({ payload }) => payload !== undefined && changes.notice(payload));
    const connection = { client, destroy, host, lost: lost.signal };
    try {
      await client.connect();
      const query = queryOf(client);
      changes.begin();
      await listen(query);
      if (this.#isRegistered) await this.#renew(connection);
      else await this.#join(client);
      const requestedAt = performance.now();
      const { reading, snapshot } = await readAll(client);
      changes.loaded(reading, snapshot);
      this.#heardAt = requestedAt;
      database.works();
      this.#isLive = true;
      return connection;
    } catch (error) {
      destroy();
      throw error;
    }
  }

  async #join(client: Client): Promise<void> {
    const { lifetime, node, address } = this.#options;
    const requestedAt = performance.now();
    await join(queryOf(client), node, address);
    this.#isRegistered = true;
    lifetime.renewed(requestedAt);
  }

  /** Renews this node until the connection is lost. */
  async #serve(connection: Connection): Promise<void> {
    const { lifetime, others, settings } = this.#options;
    const signal = AbortSignal.any([connection.lost, this.#closing.signal]);
    while (lifetime.isCurrent()) {
      await delay(settings.renewMs, signal).catch(() => undefined);
      if (this.#closing.signal.aborted) return;
      if (connection.lost.aborted) throw asPortalError(connection.lost.reason);
      const requestedAt = performance.now();
      const nodes = await this.#renew(connection);
      // PostgreSQL sends the notifications of earlier transactions first.
      this.#heardAt = requestedAt;
      void this.#bury(others.observe(nodes), others.overdue());
    }
  }

  /** Renews this node, and reads all nodes. */
  async #renew({ client, lost }: Connection): Promise<readonly NodeRow[]> {
    const { lifetime, node, settings } = this.#options;
    const requestedAt = performance.now();
    const query = queryOf(client);
    const { isRegistered, nodes } = await within(renew(query, node), settings.renewalMs, 'the renewal', lost);
    if (isRegistered) lifetime.renewed(requestedAt);
    else lifetime.expire();
    return nodes;
  }

  /** Counts nodes as lost, and releases what nodes lost earlier had. Another node may do the same. */
  async #bury(dead: readonly NodeRow[], overdue: readonly string[]): Promise<void> {
    const { database } = this.#options;
    if (this.#isBurying) return;
    this.#isBurying = true;
    try {
      for (const row of dead) await expel(database.query, row);
      for (const node of overdue) await database.transaction((query) => free(query, node));
    } catch {
      // The next renewal tries again.
    } finally {
      this.#isBurying = false;
    }
  }
}

interface Connection {
  readonly client: Client;
  readonly destroy: () => void;
  /** That of the database that it uses. */
  readonly host: number;
  /** Aborts when the connection ends. */
  readonly lost: AbortSignal;
}
