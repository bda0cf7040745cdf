import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { clientOf, plainAddress, setClient } from './client-address.js';

const socketFrom = (remoteAddress: string | undefined): Socket =>
  ({ remoteAddress, remotePort: 40_000 }) as unknown as Socket;

it.each([
  ['203.0.113.20', '203.0.113.20'],
  ['::ffff:203.0.113.20', '203.0.113.20'],
  ['2001:db8::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
])('knows the client at %s as %s', (address, plain) => {
  expect(plainAddress(address)).toBe(plain);
  expect(clientOf(socketFrom(address))).toEqual({ address: plain, port: 40_000 });
  const proxied = socketFrom('192.0.2.1');
  setClient(proxied, { address, port: 50_000 });
  expect(clientOf(proxied)).toEqual({ address: plain, port: 50_000 });
});

it('has no address of a connection that has closed', () => {
  expect(clientOf(socketFrom(undefined)).address).toBeUndefined();
});
