import type { ClientBase } from 'pg';
import { CHANNEL, Snapshot, type DenialRow, type LeaseRow, type Reading } from './changes.js';
import { inTransaction, type Query } from './database.js';
import type { NodeRow } from './other-nodes.js';

/** The statements of nodes and leases. A change and its NOTIFY are one transaction, and NOTIFY keeps the order of commits. */

/** An SQL expression that sends a change; `fields` are the arguments of json_build_object. */
const notify = (type: string, fields: string): string =>
  `pg_notify('${CHANNEL}', json_build_object('type', '${type}', 'xid', pg_current_xact_id()::text, ${fields})::text)`;

const LEASE = "'place', place, 'node', node, 'epoch', epoch::text, 'record', record";

/** Registers a node. */
export async function join(query: Query, node: string, address: string): Promise<void> {
  await query(
    `WITH joined AS (INSERT INTO portal.nodes (node, address) VALUES ($1, $2) RETURNING node, address)
     SELECT ${notify('joined', "'node', node, 'address', address")} FROM joined`,
    [node, address],
  );
}

export interface Renewal {
  /** False if another node has counted this one as lost. */
  readonly isRegistered: boolean;
  readonly nodes: readonly NodeRow[];
}

/** Renews a node, and reads the beats of all. */
export async function renew(query: Query, node: string): Promise<Renewal> {
  const rows = await query<NodeRow & { renewed: boolean }>(
    `WITH renewed AS (UPDATE portal.nodes SET beat = beat + 1 WHERE node = $1 RETURNING node)
     SELECT nodes.node, address, beat, renewed.node IS NOT NULL AS renewed
     FROM portal.nodes LEFT JOIN renewed USING (node)`,
    [node],
  );
  return { isRegistered: rows.some(({ renewed }) => renewed), nodes: rows };
}

/** Counts a node as lost, unless it renewed itself after `row` was read. */
export async function expel(query: Query, { node, beat }: NodeRow): Promise<boolean> {
  const rows = await query(
    `WITH expelled AS (DELETE FROM portal.nodes WHERE node = $1 AND beat = $2 RETURNING node),
       lost AS (INSERT INTO portal.lost_nodes (node) SELECT node FROM expelled RETURNING node)
     SELECT ${notify('left', "'node', node")} FROM lost`,
    [node, beat],
  );
  return rows.length > 0;
}

/** Releases the leases of a node that was lost or left, in a transaction. */
export async function free(query: Query, node: string): Promise<void> {
  const lost = await query('DELETE FROM portal.lost_nodes WHERE node = $1 RETURNING node', [node]);
  if (lost.length === 0) return;
  await query('DELETE FROM portal.leases WHERE node = $1', [node]);
  await gone(query, node);
}

/** Unregisters a node, in a transaction. Other nodes keep its leases for agents that return, as those of a lost node. */
export async function leave(query: Query, node: string): Promise<void> {
  // First, because it waits for claims of the node, and ends later ones.
  await query('DELETE FROM portal.nodes WHERE node = $1', [node]);
  const left = await query(
    `WITH lost AS (
       INSERT INTO portal.lost_nodes (node) SELECT node FROM portal.leases WHERE node = $1 LIMIT 1 RETURNING node
     )
     SELECT ${notify('left', "'node', node")} FROM lost`,
    [node],
  );
  if (left.length === 0) await gone(query, node);
}

async function gone(query: Query, node: string): Promise<void> {
  await query(`SELECT ${notify('gone', "'node', $1::text")}`, [node]);
}

/** Listens for changes. Takes effect before the next statement. */
export async function listen(query: Query): Promise<void> {
  await query(`LISTEN ${CHANNEL}`);
}

/** Reads everything that nodes share, at one moment. */
export function readAll(client: ClientBase): Promise<{ reading: Reading; snapshot: Snapshot }> {
  return inTransaction(
    client,
    async (query) => {
      const [row] = await query<{ snapshot: string }>('SELECT pg_current_snapshot()::text AS snapshot');
      const nodes = await query<NodeRow>('SELECT node, address, beat FROM portal.nodes');
      const lost = await query<{ node: string }>('SELECT node FROM portal.lost_nodes');
      const leases = await query<LeaseRow>('SELECT place, node, epoch, record FROM portal.leases');
      const denials = await readDenials(query);
      const reading = { nodes, lost: lost.map(({ node }) => node), leases, denials };
      return { reading, snapshot: new Snapshot(row!.snapshot) };
    },
    'REPEATABLE READ READ ONLY',
  );
}

export function readDenials(query: Query): Promise<DenialRow[]> {
  return query('SELECT address, list FROM portal.denials');
}

/** Stores the deny list of the node at `address`. The table has a trigger, which sends the change. */
export async function writeDenials(query: Query, address: string, list: string): Promise<void> {
  if (list === '') await query('DELETE FROM portal.denials WHERE address = $1', [address]);
  else
    await query(
      `INSERT INTO portal.denials (address, list) VALUES ($1, $2)
       ON CONFLICT (address) DO UPDATE SET list = excluded.list, used_at = now()`,
      [address, list],
    );
  await useDenials(query, address);
}

/** Notes that the list of `address` is in use, and forgets those that were not for as long as a reserved name by default. */
export async function useDenials(query: Query, address: string): Promise<void> {
  await query('UPDATE portal.denials SET used_at = now() WHERE address = $1', [address]);
  await query("DELETE FROM portal.denials WHERE used_at < now() - interval '30 days'");
}

export interface ClaimRow {
  readonly place: string;
  readonly owner: string;
  readonly node: string;
  /** JSON. */
  readonly record: string;
  /** Returned with the change, so that the node recognises its claim. */
  readonly by: string;
}

/**
 * Gives a place to a registered node with a new epoch, if its public place is free or has the same owner. Ends the leases that
 * cannot share the public place. Returns the epoch; undefined if not. The lock comes before the epoch: otherwise a claim with
 * an earlier epoch could take effect after a claim with a later one.
 */
export async function claim(query: Query, row: ClaimRow): Promise<number | undefined> {
  const [claimed] = await query<{ epoch: string }>(
    `WITH claimed AS MATERIALIZED (
       SELECT $1::text AS place, $3::text AS node, $4::text AS record, portal.claim($1, $2, $3, $4) AS epoch
     )
     SELECT epoch, ${notify('lease', `${LEASE}, 'by', $5::text`)} FROM claimed WHERE epoch IS NOT NULL`,
    [row.place, row.owner, row.node, row.record, row.by],
  );
  return claimed && Number(claimed.epoch);
}

/** The leases of a public place, with their owner. */
export async function leasesAt(
  query: Query,
  publicPlace: string,
): Promise<(LeaseRow & { readonly owner: string })[]> {
  return query('SELECT place, owner, node, epoch, record FROM portal.leases WHERE public_place = $1', [
    publicPlace,
  ]);
}

export async function isRegistered(query: Query, node: string): Promise<boolean> {
  return (await query('SELECT node FROM portal.nodes WHERE node = $1', [node])).length > 0;
}

/** Changes the record of a lease whose node is registered. A lost node's statement may arrive late: TCP repeats it after a cut. */
export async function update(query: Query, place: string, epoch: number, record: string): Promise<void> {
  await query(
    `WITH registered AS MATERIALIZED (
       SELECT node FROM portal.nodes
       WHERE node = (SELECT node FROM portal.leases WHERE place = $1 AND epoch = $2) FOR KEY SHARE
     ), updated AS (
       UPDATE portal.leases SET record = $3 FROM registered
       WHERE place = $1 AND epoch = $2 AND leases.node = registered.node
       RETURNING place, leases.node, epoch, record
     )
     SELECT ${notify('lease', LEASE)} FROM updated`,
    [place, epoch, record],
  );
}

export async function release(query: Query, place: string, epoch: number): Promise<void> {
  await query(
    `WITH released AS (DELETE FROM portal.leases WHERE place = $1 AND epoch = $2 RETURNING place, epoch)
     SELECT ${notify('released', "'place', place, 'epoch', epoch::text")} FROM released`,
    [place, epoch],
  );
}
