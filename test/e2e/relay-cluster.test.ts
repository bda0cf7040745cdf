import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePorts } from '../support/ports.js';
import { usePostgres } from '../support/postgres.js';
import { wire } from '../support/wire.js';
import { agent, desired, get, httpService, service } from '../support/world.js';
import { Person } from './cli-support.js';

/** `portal relay --cluster`: nodes that share a database and connect to each other, as an operator starts them. */

describe('portal relay --cluster', () => {
  const server = usePostgres();

  it('serves a service at every node, and its agent after its node crashed', async () => {
    const operator = await Person.create();
    const [first, second] = (await freePorts(2)) as [number, number];
    let home = 0;
    const path = await wire(() => home);
    await writeFile(join(operator.folder, 'database-url'), `${await server.database()}\n`);
    const start = async (name: string, port: number) => {
      const listening = ['--listen', '127.0.0.1:0', '--public-port', String(path.port)];
      const node = ['--cluster', 'database-url', '--node-address', `127.0.0.1:${port}`];
      const running = operator.start(['relay', '--json', '--data-dir', name, ...listening, ...node]);
      const { addresses, ca } = (await running.event('listening')) as unknown as {
        addresses: string[];
        ca: string;
      };
      return { running, ca, port: Number(addresses[0]!.split(':').at(-1)) };
    };
    const a = await start('a', first);
    await mkdir(join(operator.folder, 'b'), { mode: 0o700 });
    await copyFile(join(operator.folder, 'a/identity.json'), join(operator.folder, 'b/identity.json'));
    const b = await start('b', second);
    home = a.port;
    const { port } = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    const spec = { kind: 'url', url: `https://localhost:${path.port}`, caFile: a.ca } as const;
    await one.runner.apply(desired([spec], service('web', port)));
    await one.event('lease', ({ phase }) => phase === 'ready');
    for (const node of [a, b])
      expect((await get({ port: node.port }, 'web.localhost', one.ca)).text).toContain('hello');
    home = b.port;
    const mark = one.events.length;
    a.running.kill('SIGKILL');
    await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect((await get({ port: b.port }, 'web.localhost', one.ca)).text).toContain('hello');
  });
});
