import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../../test/support/ports.js';
import { isListening, openSockets } from './listeners.js';
import { parseTarget } from '../target/target.js';

const hasTables = existsSync('/proc/net/tcp');

/** At a port that other processes do not get by chance, because tests expect nothing else there. */
async function tcp(host: string): Promise<number> {
  const server = createServer(() => expect.unreachable('a connection')).listen(await freePort(), host);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function udp(host: string): Promise<number> {
  const socket = createSocket('udp4').bind(await freePort(), host);
  onTestFinished(() => void socket.close());
  await once(socket, 'listening');
  return socket.address().port;
}

describe.skipIf(!hasTables)(`a port on this machine${hasTables ? '' : ' (only Linux has tables)'}`, () => {
  it.each(['127.0.0.1', '0.0.0.0', '127.0.0.2'])('is found when TCP listens at %s', async (host) => {
    const port = await tcp(host);
    const at = host === '0.0.0.0' ? '127.0.0.1' : host;
    expect(await isListening(parseTarget(`${at}:${port}`), 'tcp')).toBe(true);
    expect(await isListening(parseTarget(port), 'tcp')).toBe(host !== '127.0.0.2');
    expect(await isListening(parseTarget(port), 'udp')).toBe(false);
  });

  it('is found by each of many checks that start together', async () => {
    const ports = [await tcp('127.0.0.1'), await tcp('127.0.0.1'), await udp('127.0.0.1')];
    const found = await Promise.all(ports.map((port) => isListening(parseTarget(port), 'tcp')));
    expect(found).toEqual([true, true, false]);
    const late = await tcp('127.0.0.1');
    expect(await isListening(parseTarget(late), 'tcp')).toBe(true);
  });

  it('is looked for without leaving buffers to the garbage collector', async () => {
    const target = parseTarget(await tcp('127.0.0.1'));
    await isListening(target, 'tcp');
    const before = process.memoryUsage().arrayBuffers;
    for (let check = 0; check < 10; check++) await isListening(target, 'tcp');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000);
  });

  it('is found when a socket receives datagrams', async () => {
    const port = await udp('127.0.0.1');
    expect(await isListening(parseTarget(port), 'udp')).toBe(true);
    expect(await isListening(parseTarget(port), 'tcp')).toBe(false);
  });
});

it.each(['192.0.2.1:80', 'example.com:80', 'unix:/run/app.sock'])(
  'returns undefined for other machines: %s',
  async (target) => {
    expect(await isListening(parseTarget(target), 'tcp')).toBeUndefined();
  },
);

it('lists only listening sockets, and skips malformed lines', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue',
    '   0: 0100007F:1C36 00000000:0000 0A 00000000:00000000',
    '   1: 0100007F:1C37 0100007F:AFFE 01 00000000:00000000',
    '  10: 00000000000000000000000001000000:1C38 00000000000000000000000000000000:0000 0A 00000000:00000000',
    '',
    'nonsense',
  ].join('\n');
  expect(openSockets(table, 'tcp')).toEqual(['0100007F:1C36', '00000000000000000000000001000000:1C38']);
});
