import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, type TestContext } from 'vitest';
import { programFor } from '../support/debian.js';
import { temporaryFolder } from '../support/folder.js';
import { freePort } from '../support/ports.js';
import { httpService } from '../support/world.js';

/** HAProxy with deploy/haproxy.cfg before three nodes, which only say their names. */

const NAMES = ['node1', 'node2', 'node3'];
const CONFIG = fileURLToPath(new URL('../../deploy/haproxy.cfg', import.meta.url));

/** A node that accepts connections, and ends all of them when it crashes. */
async function namedNode(name: string): Promise<{ port: number; crash: () => void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
    socket.write(`${name}\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const crash = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(crash);
  return { port: (server.address() as AddressInfo).port, crash };
}

/** Which node a new connection reaches; `none` if HAProxy closes it. The connection stays open. */
async function reach(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => resolve(String(chunk).trim()));
    socket.once('close', () => resolve('none'));
  });
}

/** HAProxy as in deploy/, for these ports. It believes that all nodes are healthy: their checks always succeed. */
async function balancerFor(context: TestContext, ports: readonly number[]): Promise<number> {
  const program = await programFor(context, 'haproxy');
  const [healthy, port, plain] = [
    await httpService((_, response) => response.end()),
    await freePort(),
    await freePort(),
  ];
  let config = (await readFile(CONFIG, 'utf8'))
    .replace('bind :443', `bind 127.0.0.1:${port}`)
    .replace('bind :80', `bind 127.0.0.1:${plain}`)
    .replace('check port 9464', `check addr 127.0.0.1 port ${healthy.port}`);
  for (const [index, name] of NAMES.entries())
    config = config.replaceAll(new RegExp(`${name}:\\d+`, 'g'), `127.0.0.1:${ports[index]}`);
  const file = join(await temporaryFolder(), 'haproxy.cfg');
  await writeFile(file, config);
  const haproxy = spawn(program, ['-db', '-f', file], { stdio: 'ignore' });
  onTestFinished(() => void haproxy.kill('SIGKILL'));
  await expect.poll(() => reach(port), { timeout: 60_000 }).not.toBe('none');
  return port;
}

it.for([1, 2])(
  'a new connection reaches a node that runs, right after %i of 3 crashed',
  async (count, context) => {
    const nodes = await Promise.all(NAMES.map(namedNode));
    const port = await balancerFor(
      context,
      nodes.map((node) => node.port),
    );
    const before: string[] = [];
    for (let connection = 0; connection < 9; connection++) before.push(await reach(port));
    expect(new Set(before)).toEqual(new Set(NAMES));
    for (const node of nodes.slice(0, count)) node.crash();
    // HAProxy would prefer the nodes without connections, and its checks say that they are healthy.
    for (let connection = 0; connection < 10; connection++)
      expect(NAMES.slice(count)).toContain(await reach(port));
  },
);
