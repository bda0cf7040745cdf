import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { operatorOf } from '../support/operator.js';
import { wire } from '../support/wire.js';
import { usePostgres } from '../support/postgres.js';
import { replica, servedBy, siblings, type Replica } from '../support/replicas.js';

/** Replicas at the nodes of `portal relay --cluster`, each of which is a process. */

async function servedAt(port: number, one: Replica, count: number): Promise<string> {
  return (await servedBy({ port }, one, count)).toSorted().join('');
}

describe('replicas at nodes that share PostgreSQL', () => {
  const server = usePostgres();

  it('divide the visitors of every node, and go on after a node was killed', async () => {
    let home: (() => { host: string; port: number }) | undefined;
    const { port: publicPort } = await wire(() => home!());
    const { start, specOf } = await operatorOf(server, publicPort);
    const nodes = [await start('a'), await start('b'), await start('c')];
    const as = await siblings();
    const all: Replica[] = [];
    for (const [index, says] of ['a', 'b', 'c'].entries()) {
      home = () => nodes[index]!;
      all.push(await replica(specOf(nodes[0]!.ca), says, { as, mode: 'http' }));
    }
    // Data connections arrive at any node, as behind a balancer.
    home = () => nodes[Math.floor(Math.random() * 3)]!;
    for (const { port } of nodes)
      await eventually(async () => expect(await servedAt(port, all[0]!, 6)).toBe('aabbcc'));
    home = () => nodes[Math.floor(Math.random() * 2)]!;
    const mark = all[2]!.events.length;
    nodes[2]!.running.kill('SIGKILL');
    await all[2]!.event('lease', ({ phase }) => phase === 'ready', mark);
    for (const { port } of nodes.slice(0, 2))
      await eventually(async () => expect(await servedAt(port, all[0]!, 6)).toBe('aabbcc'));
  }, 240_000);
});
