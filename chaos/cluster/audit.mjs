/**
 * A table that records each change of leases, nodes and reservations in the transaction that makes it, so that the record has
 * exactly what was committed, in the order of the commits of a place. It survives a failover like everything else.
 */
export const AUDIT = `
CREATE SCHEMA chaos;
CREATE TABLE chaos.history (
  id bigserial PRIMARY KEY,
  at double precision NOT NULL,
  what text NOT NULL,
  op text NOT NULL,
  key text NOT NULL,
  owner text,
  node text,
  number bigint,
  port int
);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE row jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
  INSERT INTO chaos.history (at, what, op, key, owner, node, number, port) VALUES (
    extract(epoch FROM clock_timestamp()) * 1000, TG_TABLE_NAME, TG_OP,
    coalesce(row->>'place', row->>'name', row->>'node'),
    coalesce(row->>'owner', row->>'address'), row->>'node',
    coalesce(row->>'epoch', row->>'used_at')::bigint,
    ((row->>'record')::jsonb->>'port')::int
  );
  RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON portal.leases FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON portal.reservations FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR DELETE ON portal.nodes FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR DELETE ON portal.lost_nodes FOR EACH ROW EXECUTE FUNCTION chaos.note();
-- What the first node did before.
INSERT INTO chaos.history (at, what, op, key, owner, node, number)
  SELECT extract(epoch FROM clock_timestamp()) * 1000, 'nodes', 'INSERT', node, address, node, NULL FROM portal.nodes;
`;

/**
 * The changes of the record after `id`, in order: [{id, at (ms since the epoch), what: 'leases' | 'nodes' | 'lost_nodes' |
 * 'reservations', op: 'INSERT' | 'UPDATE' | 'DELETE', key (place, node or name), owner (identity; a node's address), node,
 * number (epoch; last use of a reservation), port (of a lease in modes tcp and udp)}].
 */
export async function changesAfter(database, id) {
  const rows = await database.sql('SELECT * FROM chaos.history WHERE id > $1 ORDER BY id', [id]);
  return rows.map((row) => ({
    ...row,
    id: Number(row.id),
    number: row.number === null ? undefined : Number(row.number),
    port: row.port ?? undefined,
  }));
}
