import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort } from '../support/ports.js';
import { usePostgres, type PostgresServer } from '../support/postgres.js';
import { wire } from '../support/wire.js';
import { agent, desired, get, httpService, service } from '../support/world.js';
import { Person } from './cli-support.js';

/** `portal relay --cluster`: nodes that share a database and connect to each other, as an operator starts them. */

/** An operator, and the path of agents, which leads to the node that `home` names. */
async function operatorOf(server: PostgresServer) {
  const operator = await Person.create();
  let home = { host: '127.0.0.1', port: 0 };
  const path = await wire(() => home);
  await writeFile(join(operator.folder, 'database-url'), `${await server.database()}\n`);
  let first: string | undefined;
  /** Starts a node with its own data folder, which has the identity of the first one. */
  const start = async (name: string, host = '127.0.0.1', ...options: string[]) => {
    await mkdir(join(operator.folder, name), { recursive: true, mode: 0o700 });
    if (first !== undefined && first !== name)
      await copyFile(
        join(operator.folder, first, 'identity.json'),
        join(operator.folder, name, 'identity.json'),
      );
    first ??= name;
    const listening = ['--listen', `${host}:0`, '--public-port', String(path.port)];
    const node = ['--cluster', 'database-url', '--node-address', `${host}:${await freePort()}`];
    const running = operator.start([
      'relay',
      '--json',
      '--data-dir',
      name,
      ...listening,
      ...node,
      ...options,
    ]);
    const { addresses, ca } = (await running.event('listening')) as unknown as {
      addresses: string[];
      ca: string;
    };
    return { running, ca, host, port: Number(addresses[0]!.split(':').at(-1)) };
  };
  return {
    start,
    route: (node: { host: string; port: number }) => void (home = node),
    specOf: (caFile: string) => ({ kind: 'url', url: `https://localhost:${path.port}`, caFile }) as const,
  };
}

/** What a visitor of a TCP port gets. */
function textFrom(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += String(chunk)));
    socket.once('error', reject).once('end', () => resolve(text));
  });
}

describe('portal relay --cluster', () => {
  const server = usePostgres();

  it('serves a service at every node, and its agent after its node crashed', async () => {
    const { start, route, specOf } = await operatorOf(server);
    const a = await start('a');
    const b = await start('b');
    route(a);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    await one.runner.apply(desired([specOf(a.ca)], service('web', port)));
    await one.event('lease', ({ phase }) => phase === 'ready');
    for (const node of [a, b])
      expect((await get({ port: node.port }, 'web.localhost', one.ca)).text).toContain('hello');
    route(b);
    const mark = one.events.length;
    a.running.kill('SIGKILL');
    await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect((await get({ port: b.port }, 'web.localhost', one.ca)).text).toContain('hello');
  });

  it('gives TCP ports at the host of the node that the agent is connected to', async () => {
    const { start, route, specOf } = await operatorOf(server);
    const port = await freePort();
    const startAt = (name: string, host: string) =>
      start(name, host, '--tcp-ports', String(port), '--node-host', host);
    const a = await startAt('a', '127.0.0.1');
    const b = await startAt('b', '127.0.0.2');
    route(a);
    const target = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    await one.runner.apply(desired([specOf(a.ca)], service('web', target.port, { mode: 'tcp' })));
    const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
    expect(tcpAddr).toBe(`127.0.0.1:${port}`);
    expect(await textFrom('127.0.0.1', port)).toContain('hello');
    route(b);
    const mark = one.events.length;
    a.running.kill('SIGKILL');
    const moved = await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect(moved.tcpAddr).toBe(`127.0.0.2:${port}`);
    expect(await textFrom('127.0.0.2', port)).toContain('hello');
  });
});
