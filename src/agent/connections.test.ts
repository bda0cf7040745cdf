import { EventEmitter, once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { log } from '../../test/support/log.js';
import { START_BYTE } from '../protocol/limits.js';
import { DataConnections } from './connections.js';
import type { ControlChannel } from './control.js';
import type { AgentLease } from './lease.js';
import type { RelayEndpoint } from './relay-way.js';

/** A relay that accepts any data connection and starts it immediately, with this address in the visit notice. */
async function visitFrom(address: string): Promise<'taken' | 'closed'> {
  const taken = new EventEmitter();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      socket.write(Buffer.from([START_BYTE]));
    });
    socket.once('close', () => taken.emit('outcome', 'closed'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const channel = Object.assign(new EventEmitter(), { relayAddress: '127.0.0.1' });
  const endpoint: RelayEndpoint = { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
  let visitor: Socket | undefined;
  const lease = {
    visit: (socket: Socket) => {
      visitor = socket;
      taken.emit('outcome', 'taken');
    },
  };
  const connections = new DataConnections(
    channel as unknown as ControlChannel,
    endpoint,
    log,
    () => lease as unknown as AgentLease,
  );
  onTestFinished(() => {
    connections.close();
    visitor?.destroy();
    server.close();
  });
  const outcome = once(taken, 'outcome');
  channel.emit('dial', { type: 'dial', carrier: 'raw', tickets: [{ connection: 'c', ticket: 't' }] });
  channel.emit('visit', { type: 'visit', connection: 'c', lease: 'l', remote: { address, port: 1 } });
  return ((await outcome) as ['taken' | 'closed'])[0];
}

it.each(['203.0.113.7', '2001:db8::7', '::ffff:203.0.113.7'])(
  'accepts a visitor whose address is %j',
  async (address) => {
    expect(await visitFrom(address)).toBe('taken');
  },
);

it.each([
  '',
  'localhost',
  '203.0.113.7, 127.0.0.1',
  '127.0.0.1";host="bank.example',
  '203.0.113.7\r\nX-Auth: 1',
  'fe80::1%eth0',
  '[2001:db8::7]',
])('closes the connection of a visitor whose address is %j', async (address) => {
  expect(await visitFrom(address)).toBe('closed');
});
