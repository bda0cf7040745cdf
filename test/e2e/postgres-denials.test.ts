import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import { readDenyList, type DenyList } from '../../src/relay/protection/access-lists.js';
import { PostgresPath } from '../support/postgres-path.js';
import { postgresNode } from '../support/postgres-node.js';
import { usePostgres } from '../support/postgres.js';

/** The deny lists of the nodes of a relay, in PostgreSQL. */

const SOMEONE = generateIdentity().address;
const LIST = readDenyList(`${SOMEONE}\n192.0.2.0/24\n2001:db8::1\n`);

const FAST = {
  renewMs: 50,
  ttlMs: 120_000,
  renewalMs: 1_000,
  connectMs: 1_000,
  responseMs: 1_500,
  statementMs: 1_400,
};

type Node = Awaited<ReturnType<typeof postgresNode>>;

/** What a node knows of the lists of other nodes. */
const known = ({ denials }: Pick<Node, 'denials'>) =>
  denials.elsewhere.map(({ node, list: { identities, addresses } }) => [
    node,
    ...identities,
    ...addresses.texts,
  ]);

const of = (node: string) => [node, SOMEONE, '192.0.2.0/24', '2001:db8::1'];

describe('the deny lists of nodes', () => {
  const server = usePostgres();

  async function nodes() {
    const url = await server.database();
    const open = (host: number) => postgresNode(url, { settings: FAST, nodeAddress: `10.0.0.${host}:7443` });
    return { url, open, a: await open(1), b: await open(2) };
  }

  it('reach the other nodes, and those that start later', async () => {
    const { a, b, open } = await nodes();
    const heard: number[] = [];
    b.denials.onChange(() => heard.push(b.denials.elsewhere.length));
    a.denials.publish(LIST);
    await expect.poll(() => known(b)).toEqual([of('10.0.0.1:7443')]);
    expect(heard).toEqual([1]);
    expect(known(await open(3))).toEqual([of('10.0.0.1:7443')]);
    expect(known(a)).toEqual([]);
  });

  it('stay in effect when their node ends, until a node at its address has another one', async () => {
    const { a, b, open } = await nodes();
    a.denials.publish(LIST);
    await expect.poll(() => known(b)).toEqual([of('10.0.0.1:7443')]);
    await a.close();
    await expect.poll(() => [...b.others.names()]).toEqual([]);
    expect(known(b)).toEqual([of('10.0.0.1:7443')]);
    const again = await open(1);
    expect(known(again)).toEqual([]);
    again.denials.publish(readDenyList('192.0.2.0/24'));
    await expect.poll(() => known(b)).toEqual([['10.0.0.1:7443', '192.0.2.0/24']]);
    again.denials.publish(readDenyList('# nobody'));
    await expect.poll(() => known(b)).toEqual([]);
  });

  it('of several nodes apply together', async () => {
    const { a, b, open } = await nodes();
    const third = await open(3);
    a.denials.publish(LIST);
    b.denials.publish(readDenyList('192.0.2.0/24'));
    await expect.poll(() => known(third)).toEqual([of('10.0.0.1:7443'), ['10.0.0.2:7443', '192.0.2.0/24']]);
  });

  it('may be longer than a notification', async () => {
    const { a, b } = await nodes();
    const long: DenyList = readDenyList(
      Array.from({ length: 5_000 }, (_, n) => `10.${n >> 8}.${n & 255}.1`).join('\n'),
    );
    a.denials.publish(long);
    await expect.poll(() => known(b)[0]?.length).toBe(5_001);
  });

  it('of an unreachable database arrive once it responds, the last one only', async () => {
    const url = await server.database();
    const path = await PostgresPath.open(server);
    const cut = await postgresNode(server.url(new URL(url).pathname.slice(1), path.folder), {
      settings: FAST,
      nodeAddress: '10.0.0.1:7443',
    });
    const b = await postgresNode(url, { settings: FAST, nodeAddress: '10.0.0.2:7443' });
    path.freeze();
    cut.denials.publish(readDenyList('192.0.2.1'));
    cut.denials.publish(LIST);
    b.denials.publish(readDenyList('198.51.100.1'));
    path.restore();
    await expect.poll(() => known(b), { timeout: 20_000 }).toEqual([of('10.0.0.1:7443')]);
    await expect.poll(() => known(cut), { timeout: 20_000 }).toEqual([['10.0.0.2:7443', '198.51.100.1']]);
  });

  it('are forgotten a month after the last node at their address', async () => {
    const { url, a, b, open } = await nodes();
    a.denials.publish(LIST);
    await expect.poll(() => known(b)).toHaveLength(1);
    await server.sql("UPDATE portal.denials SET used_at = now() - interval '29 days'", url);
    b.denials.publish(readDenyList('198.51.100.1'));
    await expect.poll(() => known(a)).toHaveLength(1);
    expect(known(b)).toHaveLength(1);
    await server.sql("UPDATE portal.denials SET used_at = now() - interval '31 days'", url);
    (await open(3)).denials.publish(readDenyList('198.51.100.2'));
    await expect.poll(() => known(b)).toEqual([['10.0.0.3:7443', '198.51.100.2']]);
  });

  it('that this version cannot read keep what is known', async () => {
    const { url, a, b } = await nodes();
    a.denials.publish(LIST);
    await expect.poll(() => known(b)).toHaveLength(1);
    await server.sql("UPDATE portal.denials SET list = 'every second address'", url);
    await server.sql("INSERT INTO portal.denials VALUES ('10.0.0.9:7443', '192.0.2.9')", url);
    await expect.poll(() => known(b)).toEqual([of('10.0.0.1:7443'), ['10.0.0.9:7443', '192.0.2.9']]);
  });
});
