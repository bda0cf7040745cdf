import { EventEmitter, once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connection } from '../../../test/support/connection.js';
import { eventually } from '../../../test/support/eventually.js';
import { log } from '../../../test/support/log.js';
import { service } from '../../../test/support/world.js';
import { systemCode } from '../../lib/errors.js';
import { silent } from '../../lib/logger.js';
import { START_BYTE } from '../../protocol/limits.js';
import { REJECTED, ticketLine } from '../../protocol/ticket-line.js';
import { DataConnections } from './connections.js';
import type { ControlChannel } from '../session/control.js';
import { AgentLease } from '../lease/lease.js';
import type { LeaseOptions } from '../lease/options.js';
import type { RelayEndpoint } from '../session/relay-endpoint.js';

/**
 * A relay that accepts any data connection and starts it immediately, with this address in the visit notice. Resolves
 * with `taken`, or with how the connection ended for the relay.
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
  const channel = Object.assign(new EventEmitter(), {
    relayAddress: '127.0.0.1',
    welcome: {},
  });
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

const starts = (socket: Socket): void => void socket.write(Buffer.from([START_BYTE]));

const upgrades = (socket: Socket): void => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  starts(socket);
};

describe('how a data connection of the carrier raw begins', () => {
  const TICKET = 'n'.repeat(16) + 's'.repeat(32);
  const LINE = ticketLine(TICKET);
  const UPGRADE = /^GET \/v1\/data HTTP\/1\.1\r\n[^]*authorization: Portal-Ticket n{16}\.s{32}\r\n/;

  interface Dialled {
    /** First bytes of each data connection. */
    readonly first: readonly string[];
    readonly visitors: readonly Socket[];
    /** Error codes of connections that the agent gave up. */
    readonly ended: readonly string[];
  }

  /**
   * An agent of a relay that sent `welcome`. `responses`: how the relay responds to each of its data connections, in order.
   */
  async function dialled(
    welcome: object,
    responses: ((socket: Socket) => void)[],
    via?: RelayEndpoint['via'],
  ): Promise<Dialled> {
    const first: string[] = [];
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', (chunk: Buffer) => {
        first.push(chunk.toString('latin1'));
        responses.shift()?.(socket);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const visitors: Socket[] = [];
    const ended: string[] = [];
    const channel = Object.assign(new EventEmitter(), {
      relayAddress: '127.0.0.1',
      welcome,
    });
    const connections = new DataConnections(
      channel as unknown as ControlChannel,
      { url: `https://127.0.0.1:${port}`, ...(via && { via }) },
      { ...silent, debug: (fields) => ended.push((fields as { code: string }).code) },
      () => ({ visit: (socket: Socket) => visitors.push(socket) }) as unknown as AgentLease,
    );
    onTestFinished(() => {
      connections.close();
      for (const socket of [...sockets, ...visitors]) socket.destroy();
      server.close();
    });
    const remote = { address: '203.0.113.7', port: 1 };
    channel.emit('dial', {
      type: 'dial',
      carrier: 'raw',
      tickets: [{ connection: 'c', ticket: TICKET }],
    });
    channel.emit('visit', { type: 'visit', connection: 'c', lease: 'l', remote });
    return { first, visitors, ended };
  }

  it('is a ticket line if the relay accepts it', async () => {
    const { first, visitors } = await dialled({ ticketLine: true }, [starts]);
    await eventually(() => expect(visitors).toHaveLength(1));
    expect(first).toEqual([LINE]);
  });

  it.each([
    ['does not know it', {}],
    ['accepts none', { ticketLine: false }],
  ])('is an upgrade if the relay %s', async (_what, welcome) => {
    const { first, visitors } = await dialled(welcome, [upgrades]);
    await eventually(() => expect(visitors).toHaveLength(1));
    expect(first).toEqual([expect.stringMatching(UPGRADE)]);
  });

  it('is an upgrade through a proxy', async () => {
    const via: RelayEndpoint['via'] = {
      hides: false,
      open: async (host, port) => {
        const socket = connect({ host, port });
        await once(socket, 'connect');
        return socket;
      },
    };
    const { first, visitors } = await dialled({ ticketLine: true }, [upgrades], via);
    await eventually(() => expect(visitors).toHaveLength(1));
    expect(first).toEqual([expect.stringMatching(UPGRADE)]);
  });

  it.each([
    ['ends', (socket: Socket) => void socket.end()],
    ['is reset', (socket: Socket) => void socket.resetAndDestroy()],
    ['gets an HTTP response', (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('is retried as an upgrade with the same ticket if it %s', async (_what, cut) => {
    const { first, visitors } = await dialled({ ticketLine: true }, [cut, upgrades]);
    await eventually(() => expect(visitors).toHaveLength(1));
    expect(first).toEqual([LINE, expect.stringMatching(UPGRADE)]);
  });

  it.each([
    ['the line', { ticketLine: true }, String.fromCharCode(REJECTED.ticket)],
    ['the line, without a descriptor', { ticketLine: true }, String.fromCharCode(REJECTED.noDescriptor)],
    ['the upgrade', {}, 'HTTP/1.1 403 Forbidden\r\n\r\n'],
  ])('is not retried if the relay rejects %s', async (_what, welcome, response) => {
    const rejects = (socket: Socket): void => void socket.end(response, 'latin1');
    const { first, visitors, ended } = await dialled(welcome, [rejects, upgrades]);
    await eventually(() => expect(ended).toEqual(['expired']));
    expect(first).toHaveLength(1);
    expect(visitors).toEqual([]);
  });
});
