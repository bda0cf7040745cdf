import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { endianness } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { countOverruns, parseUdpTable, udpTableKey } from './udp-overruns.js';
import { connectUdp } from './udp.js';

const HEAD =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n';
const V4 =
  '  475: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 39142 2 0000000000000000 494         \n';
const QUIET =
  '  476: 0100007F:1F91 0100007F:0035 01 00000000:00000000 00:00000000 00000000  1000        0 39143 2 0000000000000000 0           \n';
const V6 =
  '  801: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 21345 2 0000000000000000 7\n';

describe("the system's table of UDP sockets", () => {
  it('counts the lost datagrams of each socket', () => {
    expect(parseUdpTable(HEAD + V4 + QUIET + V6)).toEqual(
      new Map([
        ['0100007F:1F90', 494],
        ['00000000000000000000000001000000:0035', 7],
      ]),
    );
  });

  it.each(['', '\n', 'something else\nand more\n'])('is empty for %j', (text) => {
    expect(parseUdpTable(text).size).toBe(0);
  });

  it.each([
    ['127.0.0.1', 8080, '0100007F:1F90'],
    ['::1', 53, '00000000000000000000000001000000:0035'],
    ['0.0.0.0', 65535, '00000000:FFFF'],
    ['2001:db8::1', 1, 'B80D0120000000000000000001000000:0001'],
  ])('writes %s and port %i as %s', (address, port, key) => {
    const words = endianness() === 'LE' ? key : key.replace(/[0-9A-F]{8}(?=.*:)/g, swapped);
    expect(udpTableKey(address, port)).toBe(words);
  });
});

const swapped = (word: string): string =>
  Buffer.from(Buffer.from(word, 'hex').toReversed()).toString('hex').toUpperCase();

const DATAGRAMS = 20_000;

it('reports datagrams lost because this process did not read in time', async (context) => {
  if (!existsSync('/proc/net/udp')) context.skip('only Linux counts what a socket loses');
  const flood = createSocket('udp4');
  await new Promise<void>((resolve) => flood.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void flood.close());
  const socket = await connectUdp('127.0.0.1', flood.address().port, 256 * 1024);
  onTestFinished(() => socket.close());
  let [received, lost] = [0, 0];
  socket.onMessage(() => received++);
  socket.onOverrun((count) => (lost += count));
  const payload = Buffer.alloc(1_200);
  let sent = 0;
  // All in one turn, so that nothing is read meanwhile.
  const done = Array.from(
    { length: DATAGRAMS },
    () =>
      new Promise<void>((resolve) =>
        flood.send(payload, socket.port, '127.0.0.1', (error) => {
          if (!error) sent++;
          resolve();
        }),
      ),
  );
  await Promise.all(done);
  countOverruns();
  expect(lost).toBeGreaterThan(0);
  await expect.poll(() => received + lost).toBe(sent);
  // Losses are reported only once.
  const before = lost;
  countOverruns();
  expect(lost).toBe(before);
});
