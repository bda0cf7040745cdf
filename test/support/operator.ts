import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Person } from '../e2e/cli-support.js';
import { freePort } from './ports.js';
import type { PostgresServer } from './postgres.js';
import { wire } from './wire.js';

/** An operator of a relay whose agents and visitors connect to `publicPort`. */
export async function operatorOf(server: PostgresServer, publicPort: number) {
  const operator = await Person.create();
  const database = await server.database();
  await writeFile(join(operator.folder, 'database-url'), `${database}\n`);
  let first: string | undefined;
  /** Starts a node with its own data folder, which has the identity of the first one. */
  const start = async (name: string, { host = '127.0.0.1', listenAt = 0 } = {}, ...options: string[]) => {
    await mkdir(join(operator.folder, name), { recursive: true, mode: 0o700 });
    if (first !== undefined && first !== name)
      await copyFile(
        join(operator.folder, first, 'identity.json'),
        join(operator.folder, name, 'identity.json'),
      );
    first ??= name;
    const listening = ['--listen', `${host}:${listenAt}`, '--public-port', String(publicPort)];
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
  const specOf = (caFile: string) =>
    ({ kind: 'url', url: `https://localhost:${publicPort}`, caFile }) as const;
  return { start, specOf, database, folder: operator.folder };
}

/** The path of agents, which leads to one node. */
export async function pathToOneNode() {
  let home = { host: '127.0.0.1', port: 0 };
  const path = await wire(() => home);
  return { port: path.port, route: (node: { host: string; port: number }) => void (home = node) };
}
