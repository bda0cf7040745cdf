import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { portHolder, programName, socketsAt } from './port-holder.js';

it('names the program that listens on a port', async (context) => {
  if (!existsSync('/proc/net/tcp')) context.skip('only Linux has /proc/net/tcp');
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await portHolder(port)).toMatch(new RegExp(`\\(pid ${process.pid}\\)$`));
});

it('finds only listening sockets in the table of the system', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:1C36 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 260097 1',
    '   1: 0100007F:1C36 0100007F:AFFE 01 00000000:00000000 00:00000000 00000000     0        0 260098 1',
  ].join('\n');
  expect(socketsAt(table, 0x1c36)).toEqual(['socket:[260097]']);
  expect(socketsAt(table, 80)).toEqual([]);
});

it.each([
  [['/usr/bin/node', '/usr/lib/node_modules/portal-up/bin/portal.js', 'up'], 'another Portal agent'],
  [['node', '/usr/local/bin/portal', '--json', 'expose', '3000'], 'another Portal agent'],
  [['/opt/portal', 'relay', '--listen', ':8443'], 'a Portal relay'],
  [['node', 'server.js', 'portal'], 'node'],
  [['/usr/sbin/nginx', '-c', 'secret'], 'nginx'],
  [[''], 'a program'],
])('describes %j without its arguments', (words, name) => {
  expect(programName(words)).toBe(name);
});
