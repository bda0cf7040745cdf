import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { clientOf } from '../client-address.js';
import { LOCAL_HEADER, proxyHeader } from './header.js';
import { acceptProxied, readProxyHeader } from './reader.js';

const LOCAL = { address: '198.51.100.2', port: 443 };
const version2 = (address: string, port: number): Buffer =>
  proxyHeader({ remote: { address, port }, local: LOCAL });

describe('a header of the PROXY protocol', () => {
  it('of version 2 names the client', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 65_535 }), (address, port) => {
        const header = version2(address, port);
        const verdict = readProxyHeader(Buffer.concat([header, Buffer.from('rest')]));
        expect(verdict).toEqual({ kind: 'header', length: header.length, client: { address, port } });
      }),
    );
    expect(readProxyHeader(version2('2001:db8::1', 7))).toMatchObject({
      client: { address: '2001:db8::1', port: 7 },
    });
    expect(readProxyHeader(LOCAL_HEADER)).toEqual({ kind: 'header', length: 16, client: undefined });
  });

  it.each([
    ['PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n', { address: '192.0.2.7', port: 56_324 }],
    ['PROXY TCP6 2001:db8::7 2001:db8::1 1 443\r\n', { address: '2001:db8::7', port: 1 }],
    ['PROXY UNKNOWN\r\n', undefined],
    ['PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n', undefined],
  ])('of version 1: %j', (line, client) => {
    expect(readProxyHeader(Buffer.from(`${line}rest`))).toEqual({
      kind: 'header',
      length: line.length,
      client,
    });
  });

  it.each([
    ['TLS', Buffer.from([0x16, 3, 1])],
    ['an HTTP request', Buffer.from('POST / HTTP/1.1\r\n')],
    ['an address of another family', Buffer.from('PROXY TCP4 2001:db8::7 192.0.2.1 1 443\r\n')],
    ['a port beyond 65535', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 65536 443\r\n')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(120)}`)],
    ['an unknown version', Buffer.concat([LOCAL_HEADER.subarray(0, 12), Buffer.from([0x31, 0x11, 0, 0])])],
    [
      'too few bytes for its addresses',
      Buffer.concat([LOCAL_HEADER.subarray(0, 12), Buffer.from([0x21, 0x11, 0, 0])]),
    ],
  ])('is not %s', (_what, bytes) => {
    expect(readProxyHeader(bytes)).toEqual({ kind: 'invalid' });
  });

  it('is undecided until it is complete', () => {
    for (const header of [version2('192.0.2.7', 1), Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n')])
      for (let length = 0; length < header.length; length++)
        expect(readProxyHeader(header.subarray(0, length))).toEqual({ kind: 'need' });
  });
});

/** What the relay reads after the header. */
async function accepted(chunks: readonly Buffer[]) {
  const socket = new FakeSocket('10.0.0.5');
  let rest = '';
  let isTaken = false;
  acceptProxied(socket.asSocket, 60_000, () => {
    isTaken = true;
    socket.on('data', (chunk: Buffer) => (rest += chunk.toString()));
  });
  for (const chunk of chunks) {
    socket.receive(chunk);
    await new Promise(setImmediate);
  }
  return { socket, client: clientOf(socket.asSocket), isTaken: () => isTaken, rest: () => rest };
}

describe('a connection from a proxy', () => {
  it('has the address of its client, and keeps the bytes behind the header', async () => {
    const bytes = Buffer.concat([version2('192.0.2.7', 9), Buffer.from('hello')]);
    for (const size of [1, 5, bytes.length]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      const { client, rest } = await accepted(chunks);
      expect(client).toEqual({ address: '192.0.2.7', port: 9 });
      await expect.poll(rest).toBe('hello');
    }
  });

  it('has its own address without a client', async () => {
    const { client, isTaken } = await accepted([LOCAL_HEADER]);
    expect(isTaken()).toBe(true);
    expect(client.address).toBe('10.0.0.5');
  });

  it('is reset without a valid header', async () => {
    const { socket, isTaken } = await accepted([Buffer.from('GET / HTTP/1.1\r\n\r\n')]);
    expect([socket.wasReset, isTaken()]).toEqual([true, false]);
  });
});
