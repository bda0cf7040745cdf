import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import { resetSocket } from '../../src/net/splice/reset.js';
import { LIMITS } from '../../src/protocol/limits.js';
import { nameOf, newTicket, showTicket } from '../../src/protocol/ticket.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { relay, type TestRelay } from '../support/world.js';
import {
  ACCEPTED,
  afterHead,
  helloFor,
  sendHello,
  Peer,
  settled,
  tcp,
  tls,
  upgradeShowing,
  upgradeWith,
  type Line,
} from './relay-peer.js';

const START = Buffer.from([1]);
const HELLO = helloFor('web.localhost');
const MADE_UP = upgradeShowing(showTicket(newTicket(), undefined));

async function relayWith(limits: Partial<RelayLimits> = {}): Promise<{ at: TestRelay; peer: Peer }> {
  const at = await relay({ limits });
  return { at, peer: await Peer.open(at) };
}

/** A visitor of `web`, joined to a data connection of a handmade agent. */
async function joined(limits: Partial<RelayLimits> = {}, carrier: 'raw' | 'tls' = 'raw') {
  const { at, peer } = await relayWith(limits);
  peer.answerDials({ allowHalfOpen: true });
  await peer.lease('web', { carrier });
  const visitor = await sendHello(at, 'web.localhost', { allowHalfOpen: true });
  const { data, visit } = await peer.visited();
  await data.until((all) => afterHead(all).length === START.length + HELLO.length);
  return { at, peer, visitor, data, visit };
}

const statusOf = async (connection: Line): Promise<string> =>
  (await connection.closed).received.toString().slice(9, 12);

describe('tickets', () => {
  it('a ticket works once', async () => {
    const { peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    expect((await peer.data(one!.ticket)).received().toString()).toMatch(ACCEPTED);
    expect(await statusOf(await peer.data(one!.ticket))).toBe('403');
  });

  it('thousands of guesses: all rejected, and the right ticket still works', async () => {
    // Even a busy machine makes thousands of connections within the lifetime of this ticket.
    const { at, peer } = await relayWith({ ticketMs: 600_000 });
    await peer.lease('web');
    const [one] = await peer.tickets();
    for (let batch = 0; batch < 30; batch++) {
      const guesses = Array.from({ length: 100 }, async (_, index) =>
        // Half of them use the right name.
        peer.data(index % 2 === 0 ? newTicket() : nameOf(one!.ticket) + newTicket().slice(16)),
      );
      for (const guess of await Promise.all(guesses)) expect(await statusOf(guess)).toBe('403');
    }
    expect(at.counts().tickets).toBe(2);
    expect((await peer.data(one!.ticket)).received().toString()).toMatch(ACCEPTED);
  });

  it('expired: rejected, and the relay requests another', async () => {
    const { at, peer } = await relayWith({ ticketMs: 40 });
    await peer.lease('web');
    const [one] = await peer.tickets();
    const later = await peer.tickets();
    expect(await statusOf(await peer.data(one!.ticket))).toBe('403');
    expect(later.length).toBeGreaterThan(0);
    expect(at.counts().tickets).toBeLessThanOrEqual(2);
  });

  it('on another carrier: rejected, and still valid on its own', async () => {
    const { peer } = await relayWith();
    await peer.lease('web', { carrier: 'tls' });
    const [one] = await peer.tickets('tls');
    expect(await statusOf(await peer.data(one!.ticket, 'raw'))).toBe('403');
    expect((await peer.data(one!.ticket, 'tls')).received().toString()).toMatch(ACCEPTED);
  });

  it('proven for another TLS session: rejected, and still valid in its own', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web', { carrier: 'tls' });
    const [one] = await peer.tickets('tls');
    const [agent, other] = [await tls(at), await tls(at)];
    const proven = upgradeWith(one!.ticket, agent.socket);
    other.socket.write(proven);
    expect(await statusOf(other)).toBe('403');
    agent.socket.write(proven);
    expect((await agent.until('\r\n\r\n')).toString()).toMatch(ACCEPTED);
  });

  it('in TLS 1.2: rejected, because it has no channel binding', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web', { carrier: 'tls' });
    const [one] = await peer.tickets('tls');
    const old = await tls(at, { maxVersion: 'TLSv1.2' });
    const value = (old.socket as TLSSocket).exportKeyingMaterial(
      32,
      'EXPORTER-Channel-Binding',
      Buffer.alloc(0),
    );
    old.socket.write(upgradeShowing(showTicket(one!.ticket, value.toString('hex'))));
    expect(await statusOf(old)).toBe('403');
  });

  it('on carrier raw: accepted from anyone, because nothing binds it to its agent', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const stranger = await Peer.open(at, { identity: generateIdentity() });
    expect((await stranger.data(one!.ticket)).received().toString()).toMatch(ACCEPTED);
  });

  it('of an ended session: rejected, and its idle connections end with it', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one, two] = await peer.tickets();
    const idle = await peer.data(one!.ticket);
    peer.ws.terminate();
    await idle.closed;
    expect(await statusOf(await peer.data(two!.ticket))).toBe('403');
    expect(at.counts()).toMatchObject({ sessions: 0, tickets: 0 });
  });

  it.each([
    ['no ticket', MADE_UP.replace(/Authorization.*\r\n/, '')],
    ['a malformed ticket', upgradeShowing('Portal-Ticket short')],
    ['another scheme', MADE_UP.replace('Portal-Ticket', 'Bearer')],
    ['another protocol', MADE_UP.replace('portal-data', 'websocket')],
    ['another method', MADE_UP.replace('GET', 'POST')],
    ['bytes after the header', `${MADE_UP}x`],
  ])('%s: 400', async (_what, request) => {
    const at = await relay();
    for (const open of [tcp, tls]) {
      const one = await open(at);
      one.socket.write(request);
      expect(await statusOf(one)).toBe('400');
    }
  });

  it('bytes after the header do not consume the ticket', async () => {
    const { peer, at } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const hasty = await tcp(at);
    hasty.socket.write(`${upgradeWith(one!.ticket, hasty.socket)}x`);
    expect(await statusOf(hasty)).toBe('400');
    expect((await peer.data(one!.ticket)).received().toString()).toMatch(ACCEPTED);
  });
});

describe('an agent that misuses its data connections', () => {
  it('sends before the start byte: dropped', async () => {
    const { peer } = await relayWith();
    await peer.lease('web');
    for (const data of await peer.connectAll()) {
      data.socket.write('me first');
      await data.closed;
    }
    await expect(peer.lease('other')).resolves.toBeDefined();
  });

  it('opens and drops connections in a loop: the relay requests new ones less and less often', async () => {
    const { peer } = await relayWith();
    await peer.lease('web');
    const askedAt: number[] = [];
    let dials = 0;
    const startedAt = performance.now();
    while (performance.now() - startedAt < 1_000) {
      const tickets = await peer.tickets();
      askedAt.push(performance.now());
      dials += tickets.length;
      for (const data of await Promise.all(tickets.map(({ ticket }) => peer.data(ticket))))
        data.socket.destroy();
    }
    // 100 ms, 200 ms, 400 ms, 800 ms.
    expect(askedAt.length).toBeLessThanOrEqual(5);
    expect(dials).toBeLessThanOrEqual(10);
  });

  it('a visitor is served in the meantime', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    for (let round = 0; round < 5; round++) for (const data of await peer.connectAll()) data.socket.destroy();
    // The next spare connections are due in 1.6 s, so this request is for the visitor's connection.
    await sendHello(at, 'web.localhost');
    const tickets = await peer.tickets();
    expect(tickets).toHaveLength(1);
    await peer.data(tickets[0]!.ticket);
    await peer.next('visit');
  });

  it('opens none of hundreds of requested connections: open requests stay within the limit', async () => {
    const { at, peer } = await relayWith({ maxWaitingVisitorsPerLease: 700, visitorWaitMs: 60_000 });
    for (const name of ['a', 'b']) await peer.lease(name);
    const visitors: Line[] = [];
    for (let i = 0; i < 600; i++)
      for (const name of ['a', 'b']) visitors.push(await sendHello(at, `${name}.localhost`));
    await settled(() => at.counts().tickets >= LIMITS.maxDataConnectionsAhead);
    await expect(peer.lease('c')).resolves.toBeDefined();
    expect(at.counts().tickets).toBe(LIMITS.maxDataConnectionsAhead);
    for (const { socket } of visitors) socket.destroy();
  });
});

/** A fatal TLS alert: the name is known, but no agent served the visitor. */
const INTERNAL_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 80]);

describe('a visitor in the queue', () => {
  it('waits no longer than the timeout', async () => {
    const { at, peer } = await relayWith({ visitorWaitMs: 80 });
    await peer.lease('web');
    const visitor = await sendHello(at, 'web.localhost');
    expect(await visitor.closed).toEqual({ how: 'end', received: INTERNAL_ERROR });
    expect(at.counts().visitors).toBe(0);
  });

  it('is rejected when the queue is full, and the others are served', async () => {
    const { at, peer } = await relayWith({ maxWaitingVisitorsPerLease: 3 });
    await peer.lease('web');
    const line = [];
    for (let i = 0; i < 5; i++) line.push(await sendHello(at, 'web.localhost'));
    expect(await line[3]!.closed).toEqual({ how: 'end', received: INTERNAL_ERROR });
    await line[4]!.closed;
    peer.answerDials();
    const served = await Promise.all([peer.visited(), peer.visited(), peer.visited()]);
    expect(served.map(({ visit }) => visit.remote.port)).toEqual(
      line.slice(0, 3).map(({ socket }) => socket.localPort),
    );
  });

  it.each([
    ['ends', (visitor: Line) => visitor.socket.end()],
    ['resets', (visitor: Line) => visitor.socket.resetAndDestroy()],
    ['sends without end', (visitor: Line) => visitor.socket.write(Buffer.alloc(LIMITS.maxWaitingBytes + 1))],
  ])('gives up its place when it %s', async (_what, leave) => {
    const { at, peer } = await relayWith({ maxWaitingVisitorsPerLease: 1 });
    await peer.lease('web');
    const first = await sendHello(at, 'web.localhost');
    // Its rejection proves that the first one is in the queue.
    await (
      await sendHello(at, 'web.localhost')
    ).closed;
    leave(first);
    await first.closed;
    peer.answerDials();
    const second = await sendHello(at, 'web.localhost');
    const { visit } = await peer.visited();
    expect(visit.remote.port).toBe(second.socket.localPort);
  });

  it('sends bytes while it waits, which reach the agent once and in order', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const visitor = await sendHello(at, 'web.localhost', { allowHalfOpen: true });
    const early = randomBytes(10_000);
    visitor.socket.write(early);
    const late = randomBytes(200_000);
    peer.answerDials({ allowHalfOpen: true });
    const { data } = await peer.visited();
    visitor.socket.end(late);
    const all = Buffer.concat([START, HELLO, early, late]);
    const received = await data.until((bytes) => afterHead(bytes).length >= all.length);
    expect(afterHead(received).equals(all)).toBe(true);
  });

  it('with acme-tls/1 uses a tls connection, whatever the lease’s carrier', async () => {
    const { at, peer } = await relayWith();
    peer.answerDials();
    await peer.lease('web');
    await sendHello(at, 'web.localhost', { alpn: ['acme-tls/1'] });
    const { data } = await peer.visited();
    expect(data.socket).toHaveProperty('encrypted', true);
  });
});

describe.each(['raw', 'tls'] as const)('a visitor on a data connection over %s', (carrier) => {
  it('half-closes one direction, and the other stays open', async () => {
    const { visitor, data, at } = await joined({}, carrier);
    visitor.socket.end('question');
    await once(data.socket, 'end');
    expect(
      afterHead(data.received())
        .subarray(START.length + HELLO.length)
        .toString(),
    ).toBe('question');
    data.socket.end('answer');
    expect((await visitor.until('answer')).toString()).toBe('answer');
    expect(await visitor.closed).toMatchObject({ how: 'end' });
    await settled(() => at.counts().visitors === 0);
  });

  it('resets in mid-stream: so does the agent’s side', async () => {
    const { visitor, data, at } = await joined({}, carrier);
    visitor.socket.resetAndDestroy();
    expect((await data.closed).how).toBe('ECONNRESET');
    await settled(() => at.counts().visitors === 0);
  });

  it('is reset when its agent’s connection is', async () => {
    const { visitor, data, at, peer } = await joined({}, carrier);
    resetSocket(data.socket);
    expect((await visitor.closed).how).toBe('ECONNRESET');
    await settled(() => at.counts().visitors === 0);
    await expect(peer.lease('web')).resolves.toBeDefined();
  });

  it('times out when the agent never responds', async () => {
    const { visitor, at } = await joined({ firstResponseMs: 80 }, carrier);
    expect((await visitor.closed).how).toBe('ECONNRESET');
    await settled(() => at.counts().visitors === 0);
  });

  it('is disconnected when no more bytes move', async () => {
    const { visitor, data } = await joined({ visitorIdleMs: 80 }, carrier);
    data.socket.write('hello');
    await visitor.until('hello');
    expect((await visitor.closed).how).toBe('ECONNRESET');
  });

  it('is disconnected at the end of its lifetime, even when busy', async () => {
    const { visitor, data } = await joined({ visitorIdleMs: 80, visitorLifetimeMs: 200 }, carrier);
    const busy = setInterval(() => data.socket.write('x'), 10);
    expect((await visitor.closed).how).toBe('ECONNRESET');
    clearInterval(busy);
  });

  it('stays connected when its agent’s control channel is lost', async () => {
    const { visitor, data, peer, at } = await joined({}, carrier);
    peer.ws.terminate();
    await settled(() => at.counts().sessions === 0);
    data.socket.write('still here');
    await expect(visitor.until('still here')).resolves.toBeDefined();
  });
});

describe('a visitor that does not read', () => {
  it('slows its agent down, and the relay’s memory does not grow', async () => {
    const { visitor, data } = await joined();
    visitor.socket.pause();
    const chunk = Buffer.alloc(1024 * 1024);
    const before = process.memoryUsage();
    let sent = 0;
    // The buffers of the kernel and the relay fill. Then the relay pauses the writer and keeps it paused.
    while (data.socket.write(chunk)) {
      sent += chunk.length;
      await new Promise(setImmediate);
    }
    const after = process.memoryUsage();
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 1024 * 1024);
    visitor.socket.resume();
    await once(data.socket, 'drain');
  });
});
