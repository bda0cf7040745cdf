import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { newTicket, nameOf } from '../../protocol/ticket.js';
import { ticketLine } from '../../protocol/ticket-line.js';
import { buildClientHello, intoRecords } from '../../../test/support/client-hello.js';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { Front, type FrontOptions, type FrontRoutes } from './front.js';
import { ALERTS } from '../visitors/refuse.js';

const hello = (serverName?: string): Buffer =>
  intoRecords(buildClientHello({ ...(serverName !== undefined && { serverName }), alpn: ['h2'] }));

/** A front that listens nowhere. It knows web.relay.test, and relay.test is its own. */
function front(over: Partial<FrontOptions> = {}) {
  const routes = {
    visitor: vi.fn<FrontRoutes['visitor']>(({ serverName }) => serverName === 'web.relay.test'),
    ownTls: vi.fn<FrontRoutes['ownTls']>(),
    plain: vi.fn<FrontRoutes['plain']>(),
    ticket: vi.fn<FrontRoutes['ticket']>(),
  };
  const evicted = vi.fn<FrontOptions['evicted']>();
  const made = new Front({
    hosts: [],
    port: 0,
    ...LIMITS,
    isProxy: () => false,
    admits: () => true,
    arrived: () => undefined,
    hasDescriptors: () => true,
    closeRequest: () => false,
    isOwn: (serverName) => serverName === undefined || serverName === 'relay.test',
    evicted,
    routes,
    ...over,
  });
  onTestFinished(() => made.close());
  return {
    front: made,
    routes,
    evicted,
    /** A new connection that sends `chunks`. */
    arrive: async (chunks: readonly (Buffer | string)[], { address = '192.0.2.1', only }: Arrive = {}) => {
      const socket = new FakeSocket(address);
      made.take(socket.asSocket, only ? { only } : {});
      for (const chunk of chunks) {
        socket.receive(chunk);
        await new Promise(setImmediate);
      }
      return socket;
    },
    calls: () =>
      Object.fromEntries(
        Object.entries(routes).flatMap(([name, route]) =>
          route.mock.calls.length > 0 ? [[name, route.mock.calls.length]] : [],
        ),
      ),
  };
}

interface Arrive {
  address?: string;
  only?: 'visitors' | 'plain';
}

describe('a connection', () => {
  it('goes to the lease of its server name, with its first bytes', async () => {
    const { front: made, routes, arrive, calls } = front();
    const bytes = hello('web.relay.test');
    const socket = await arrive([bytes]);
    expect(routes.visitor).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ serverName: 'web.relay.test', alpn: ['h2'] }),
      socket,
      bytes,
    );
    expect([calls(), made.unrouted, socket.isPaused()]).toEqual([{ visitor: 1 }, 0, true]);
  });

  it('waits until its ClientHello is complete, whatever its parts', async () => {
    const { front: made, routes, arrive } = front();
    const bytes = hello('web.relay.test');
    const socket = await arrive([bytes.subarray(0, 1), bytes.subarray(1, 9), bytes.subarray(9, -1)]);
    expect([routes.visitor.mock.calls.length, made.unrouted]).toEqual([0, 1]);
    socket.receive(bytes.subarray(-1));
    await expect.poll(() => routes.visitor.mock.calls[0]?.[2]).toEqual(bytes);
  });

  it('with an unknown name gets an alert', async () => {
    const { arrive } = front();
    const socket = await arrive([hello('other.relay.test')]);
    expect(socket.sent).toEqual(ALERTS.unrecognizedName);
  });

  it.each([['relay.test'], [undefined]])('to the relay itself gets its bytes back (%s)', async (name) => {
    const { routes, arrive, calls } = front();
    const socket = await arrive([hello(name)]);
    expect(calls()).toEqual({ ownTls: 1 });
    expect(routes.ownTls.mock.calls[0]?.[1]).toEqual(['h2']);
    expect(socket.read()).toEqual(hello(name));
  });

  it('without TLS gets its bytes back', async () => {
    const { arrive, calls } = front();
    const socket = await arrive(['GET / HTTP/1.1\r\n']);
    expect(calls()).toEqual({ plain: 1 });
    expect(String(socket.read())).toBe('GET / HTTP/1.1\r\n');
  });

  it('with a ticket line shows the ticket, also a malformed one', async () => {
    const { routes, arrive } = front();
    const ticket = newTicket();
    const line = ticketLine(ticket);
    await arrive([line.slice(0, 20), line.slice(20)]);
    await arrive([`${line} and more`]);
    expect(routes.ticket.mock.calls.map(([, shown]) => shown?.name)).toEqual([nameOf(ticket), undefined]);
  });

  it('with a malformed ClientHello gets an alert', async () => {
    const { arrive, calls } = front();
    const bytes = hello('web.relay.test');
    bytes[5] = 2;
    expect((await arrive([bytes])).sent).toEqual(ALERTS.decodeError);
    expect(calls()).toEqual({});
  });

  it('of an agent reaches only visitors, and one to the port for plain HTTP only that', async () => {
    const { arrive, calls } = front();
    const own = await arrive([hello('relay.test')], { only: 'visitors' });
    const plain = await arrive(['GET / HTTP/1.1\r\n'], { only: 'visitors' });
    const line = await arrive([ticketLine(newTicket())], { only: 'visitors' });
    const tls = await arrive([hello('web.relay.test')], { only: 'plain' });
    expect(own.sent).toEqual(ALERTS.unrecognizedName);
    expect([plain, line, tls].map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
    // The relay's own name is no lease.
    expect(calls()).toEqual({ visitor: 1 });
    await arrive([hello('web.relay.test')], { only: 'visitors' });
    await arrive(['GET / HTTP/1.1\r\n'], { only: 'plain' });
    expect(calls()).toEqual({ visitor: 2, plain: 1 });
  });
});

describe('connections that send too little', () => {
  it('time out', async () => {
    const { front: made, arrive } = front({ firstBytesMs: 4 });
    const socket = await arrive([hello('web.relay.test').subarray(0, 9)]);
    await expect.poll(() => [socket.destroyed, made.unrouted]).toEqual([true, 0]);
  });

  it('make room for others, those of the network with the most first', async () => {
    const { front: made, evicted, arrive } = front({ maxUnroutedConnections: 2 });
    const flood = [await arrive(['\x16']), await arrive(['\x16'])];
    const other = await arrive(['\x16'], { address: '198.51.100.1' });
    expect([...flood, other].map(({ destroyed }) => destroyed)).toEqual([true, false, false]);
    expect(evicted.mock.calls).toEqual([['maxUnroutedConnections']]);
    expect(made.unrouted).toBe(2);
  });

  it('make room when they hold too many bytes', async () => {
    const { evicted, arrive } = front({ maxUnroutedBytes: 300 });
    const long = intoRecords(buildClientHello({ extensions: [{ type: 21, data: Buffer.alloc(900) }] }));
    const heavy = [await arrive([long.subarray(0, 150)]), await arrive([long.subarray(0, 100)])];
    const light = await arrive([long.subarray(0, 80)], { address: '198.51.100.1' });
    expect(light.destroyed).toBe(false);
    expect(heavy.filter(({ destroyed }) => destroyed)).toHaveLength(1);
    expect(evicted.mock.calls).toEqual([['maxUnroutedBytes']]);
  });

  it('end when the relay stops; routed ones continue until it closes', async () => {
    const { front: made, arrive } = front();
    const waiting = await arrive(['\x16']);
    const routed = await arrive([hello('web.relay.test')]);
    made.stop();
    expect([waiting.destroyed, routed.destroyed]).toEqual([true, false]);
    await made.close();
    expect(routed.destroyed).toBe(true);
  });
});
