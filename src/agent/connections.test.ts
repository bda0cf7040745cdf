import { EventEmitter, once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { log } from '../../test/support/log.js';
import { service } from '../../test/support/world.js';
import { systemCode } from '../lib/errors.js';
import { START_BYTE } from '../protocol/limits.js';
import { DataConnections } from './connections.js';
import type { ControlChannel } from './control.js';
import { AgentLease, type LeaseOptions } from './lease.js';
import type { RelayEndpoint } from './relay-way.js';

/**
 * A relay that accepts any data connection and starts it immediately, with this address in the visit notice. Resolves with
 * `taken`, or with how the connection ended for the relay.
 */
async function visitFrom(address: string, isKnown = true): Promise<string> {
  const taken = new EventEmitter();
  const server = createServer((socket) => {
    socket.on('error', (error) => taken.emit('outcome', systemCode(error)));
    socket.on('end', () => taken.emit('outcome', 'end'));
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      socket.write(Buffer.from([START_BYTE]));
    });
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
  const connections = new DataConnections(channel as unknown as ControlChannel, endpoint, log, () =>
    isKnown ? (lease as unknown as AgentLease) : undefined,
  );
  onTestFinished(() => {
    connections.close();
    visitor?.destroy();
    server.close();
  });
  const outcome = once(taken, 'outcome');
  channel.emit('dial', { type: 'dial', carrier: 'raw', tickets: [{ connection: 'c', ticket: 't' }] });
  channel.emit('visit', { type: 'visit', connection: 'c', lease: 'l', remote: { address, port: 1 } });
  return ((await outcome) as [string])[0];
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
])('resets the connection of a visitor whose address is %j', async (address) => {
  expect(await visitFrom(address)).toBe('ECONNRESET');
});

it('resets the connection of a visitor of an unknown lease', async () => {
  expect(await visitFrom('203.0.113.7', false)).toBe('ECONNRESET');
});

it('resets the connection of a visitor that arrives before its lease serves', async () => {
  const [near, far] = await connection();
  const lease = new AgentLease({ spec: service('app', 1), log } as LeaseOptions);
  lease.visit(near, { address: '203.0.113.7', port: 1 });
  const [error] = (await once(far, 'error')) as [Error];
  expect(systemCode(error)).toBe('ECONNRESET');
});

async function connection(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  if (near.connecting) await once(near, 'connect');
  return [near, far];
}
