import type { Client } from 'pg';
import { PortalError } from '../../lib/errors.js';
import { inTransaction, queryOf, type Database, type Query } from './database.js';

/**
 * The tables of a relay in PostgreSQL. They are in a schema of their own. Text compares by its bytes, as JavaScript compares
 * it, in databases of every locale.
 */

/** One string for each version of the schema. Never change one that was released. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE portal.relay (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    identity text NOT NULL,
    domain text NOT NULL
  );
  CREATE TABLE portal.nodes (node text PRIMARY KEY, address text NOT NULL, beat bigint NOT NULL DEFAULT 0);
  CREATE TABLE portal.lost_nodes (node text PRIMARY KEY);
  CREATE SEQUENCE portal.epochs;
  CREATE TABLE portal.leases (
    place text COLLATE "C" PRIMARY KEY,
    owner text NOT NULL,
    node text NOT NULL,
    epoch bigint NOT NULL,
    record text NOT NULL
  );
  CREATE INDEX leases_by_node ON portal.leases (node);
  CREATE TABLE portal.reservations (
    name text COLLATE "C" PRIMARY KEY,
    address text NOT NULL,
    used_at bigint NOT NULL,
    first_at bigint NOT NULL,
    network text NOT NULL
  );
  CREATE INDEX reservations_by_address ON portal.reservations (address, used_at);
  CREATE INDEX reservations_by_network ON portal.reservations (network, used_at);
  CREATE INDEX reservations_by_use ON portal.reservations (used_at);
  CREATE TABLE portal.ports (
    kind text NOT NULL,
    name text COLLATE "C" NOT NULL,
    port integer NOT NULL,
    PRIMARY KEY (kind, name),
    UNIQUE (kind, port)
  );
  CREATE TABLE portal.peers (url text PRIMARY KEY, address text NOT NULL);
  CREATE TABLE portal.agents (
    identity text NOT NULL,
    machine text COLLATE "C" NOT NULL,
    version text NOT NULL,
    seen_at bigint NOT NULL,
    PRIMARY KEY (identity, machine)
  );
  CREATE INDEX agents_by_age ON portal.agents (seen_at);
  `,
  `
  CREATE TABLE portal.files (name text COLLATE "C" PRIMARY KEY, sealed text NOT NULL);
  `,
  // Each statement of a function sees what others committed while the lock was waited for. One statement alone does not.
  `
  ALTER TABLE portal.leases
    ADD COLUMN public_place text COLLATE "C" GENERATED ALWAYS AS (split_part(place, ' #', 1)) STORED;
  CREATE INDEX leases_by_public_place ON portal.leases (public_place);
  CREATE FUNCTION portal.claim(at_place text, by_owner text, at_node text, new_record text) RETURNS bigint
  LANGUAGE plpgsql AS $$
  DECLARE
    public text := split_part(at_place, ' #', 1);
    new_epoch bigint;
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(public, 0));
    PERFORM FROM portal.nodes WHERE node = at_node FOR KEY SHARE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM FROM portal.leases WHERE public_place = public AND owner <> by_owner;
    IF FOUND THEN RETURN NULL; END IF;
    DELETE FROM portal.leases
      WHERE public_place = public AND place <> at_place AND (place = public OR at_place = public);
    new_epoch := nextval('portal.epochs');
    INSERT INTO portal.leases AS present (place, owner, node, epoch, record)
      VALUES (at_place, by_owner, at_node, new_epoch, new_record)
      ON CONFLICT (place) DO UPDATE SET node = excluded.node, epoch = excluded.epoch, record = excluded.record;
    RETURN new_epoch;
  END
  $$;
  `,
  `
  CREATE TABLE portal.denials (
    address text COLLATE "C" PRIMARY KEY,
    list text NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE FUNCTION portal.denials_changed() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_notify(
      'portal', json_build_object('type', 'denials', 'xid', pg_current_xact_id()::text)::text
    );
    RETURN NULL;
  END
  $$;
  CREATE TRIGGER denials_changed AFTER INSERT OR DELETE OR UPDATE OF list ON portal.denials
    FOR EACH ROW EXECUTE FUNCTION portal.denials_changed();
  `,
];

/** Keys of advisory locks, which all programs of a database share: "port" in ASCII, and a number. */
const LOCK = { migration: [0x706f7274, 1], ports: [0x706f7274, 2] } as const;

/** How long a migration may take, including the wait for one by another node. */
const MIGRATION_MS = 60_000;
const OLDEST_SERVER = 130_000;

/** The relay that a database belongs to. */
export interface RelayOfDatabase {
  /** The address of its key. */
  readonly identity: string;
  readonly domain: string;
}

/**
 * Creates or updates the tables, and checks that the database belongs to this relay. Several nodes may do so at once. Uses the
 * first host that accepts writes. Throws `cluster_unavailable` or `cluster_mismatch`.
 */
export async function prepareDatabase(database: Database, relay: RelayOfDatabase): Promise<void> {
  for (let hosts = database.hosts; ; hosts--) {
    const { host } = database;
    try {
      return await prepareHost(database, relay);
    } catch (error) {
      if (hosts === 1 || error instanceof PortalError) throw unavailable(error);
      database.leave(host);
    }
  }
}

async function prepareHost(database: Database, relay: RelayOfDatabase): Promise<void> {
  const { client, destroy } = database.connection(MIGRATION_MS);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await checkServer(client);
    await checkPooler(database, client);
    await inTransaction(client, async (query) => {
      await lock(query, 'migration');
      await migrate(query);
      await checkRelay(query, relay);
    });
  } finally {
    destroy();
  }
}

/** Waits until no other transaction has this lock, and keeps it until the transaction ends. */
export async function lock(query: Query, name: keyof typeof LOCK): Promise<void> {
  await query('SELECT pg_advisory_xact_lock($1, $2)', LOCK[name]);
}

async function checkServer(client: Client): Promise<void> {
  const [row] = await queryOf(client)<{ number: number; name: string }>(
    "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS name",
  );
  if (row!.number >= OLDEST_SERVER) return;
  throw new PortalError('cluster_unavailable', `the database is PostgreSQL ${row!.name}`, {
    hint: 'Use PostgreSQL 13 or newer.',
  });
}

/** A pooler gives a connection to another client between two transactions: nothing would arrive at a node that listens. */
async function checkPooler(database: Database, client: Client): Promise<void> {
  const backend = async (): Promise<number> => {
    const [row] = await queryOf(client)<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return row!.pid;
  };
  const before = await backend();
  // This transaction takes the connection that `client` has just used.
  const during = await database.transaction(backend);
  if (before === during) return;
  throw new PortalError(
    'cluster_unavailable',
    'the database gives each transaction another connection, so a node would miss changes',
    { hint: DIRECTLY },
  );
}

async function migrate(query: Query): Promise<void> {
  await query('CREATE SCHEMA IF NOT EXISTS portal');
  await query('CREATE TABLE IF NOT EXISTS portal.version (version integer NOT NULL)');
  const [row] = await query<{ version: number }>('SELECT version FROM portal.version');
  const version = row?.version ?? 0;
  if (version > MIGRATIONS.length)
    throw new PortalError(
      'cluster_mismatch',
      `the tables of the database have version ${version}; this version of Portal knows ${MIGRATIONS.length}`,
      { hint: 'Install the version of Portal that the other nodes run.' },
    );
  for (const migration of MIGRATIONS.slice(version)) await query(migration);
  if (!row) await query('INSERT INTO portal.version VALUES ($1)', [MIGRATIONS.length]);
  else await query('UPDATE portal.version SET version = $1', [MIGRATIONS.length]);
}

async function checkRelay(query: Query, { identity, domain }: RelayOfDatabase): Promise<void> {
  await query('INSERT INTO portal.relay (identity, domain) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    identity,
    domain,
  ]);
  const [row] = await query<RelayOfDatabase>('SELECT identity, domain FROM portal.relay');
  if (row!.domain !== domain)
    throw new PortalError(
      'cluster_mismatch',
      `the database belongs to a relay for ${row!.domain}, and this node serves ${domain}`,
      { hint: 'Use the same --domain for all nodes, or another database for another relay.' },
    );
  if (row!.identity !== identity)
    throw new PortalError(
      'cluster_mismatch',
      `the database belongs to the relay with identity ${row!.identity}, and this node has ${identity}`,
      { hint: 'Copy identity.json from the data folder of another node, readable for the relay only.' },
    );
}

/** PgBouncer passes neither notifications nor timeouts in its mode `transaction`. */
const DIRECTLY =
  'Connect to PostgreSQL itself, not to a pooler such as PgBouncer: the relay has its own pool of connections.';

/** The error of a node that cannot start. */
export function unavailable(cause: unknown): PortalError {
  if (cause instanceof PortalError) return cause;
  // A refused connection to several addresses has no message of its own.
  const { message = String(cause), code } = cause as { message?: string; code?: string };
  const reason = message === '' ? code : message;
  return new PortalError('cluster_unavailable', `the database of the relay cannot be used: ${reason}`, {
    cause,
    ...(/startup parameter/.test(reason ?? '') && { hint: DIRECTLY }),
  });
}
