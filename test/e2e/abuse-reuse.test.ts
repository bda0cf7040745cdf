import { expect, describe, it } from 'vitest';
import { frameHeader } from '../../src/net/reuse/frames.js';
import { LIMITS } from '../../src/protocol/limits.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { relay, type TestRelay } from '../support/world.js';
import {
  ACCEPTED,
  afterHead,
  helloFor,
  Peer,
  sendHello,
  settled,
  shownOn,
  tls,
  upgradeWith,
  type Line,
} from './relay-peer.js';

/** What an agent can do with data connections that serve several visitors. */

const HELLO = helloFor('web.localhost');
const CONFIRMED = /^HTTP\/1\.1 101 [^]*\r\nportal-reuse: 1\r\n/;

const frame = (type: Parameters<typeof frameHeader>[0], payload: Buffer | string = ''): Buffer =>
  Buffer.concat([frameHeader(type, payload.length), Buffer.from(payload)]);

/** How the relay starts a visit: everything so far, in frames. */
const STARTED = Buffer.concat([frame('start'), frame('data', HELLO)]);

async function relayWith(limits: Partial<RelayLimits> = {}): Promise<{ at: TestRelay; peer: Peer }> {
  const at = await relay({ limits: { ticketMs: 600_000, ...limits } });
  const peer = await Peer.open(at);
  await peer.lease('web', { carrier: 'tls' });
  return { at, peer };
}

const isStarted = (data: Line): boolean => afterHead(data.received()).length >= STARTED.length;

/** A data connection whose request asks for reuse, once the relay has responded. */
async function shared(at: TestRelay, ticket: string): Promise<Line> {
  const data = await tls(at, { allowHalfOpen: true });
  data.socket.write(upgradeWith(ticket, data.socket).replace(/\r\n$/, 'portal-reuse: 1\r\n\r\n'));
  await data.until('\r\n\r\n');
  // The end of a visit is a frame, so this is the end of the connection.
  data.socket.on('end', () => data.socket.end());
  return data;
}

/** Shows a ticket on a connection that served a visitor. */
const show = (data: Line, ticket: string): void => {
  const text = shownOn(data.socket, ticket).replace('Portal-Ticket ', '');
  data.socket.write(frame('ticket', text));
};

/** A connection that has served one visitor, in order. `tickets` are those that are left. */
async function usedOnce(at: TestRelay, peer: Peer): Promise<{ data: Line; tickets: string[] }> {
  const [one, ...rest] = await peer.tickets('tls');
  const data = await shared(at, one!.ticket);
  await serve(at, peer, data);
  return { data, tickets: rest.map(({ ticket }) => ticket) };
}

/** Lets a visitor come and go. */
async function serve(at: TestRelay, peer: Peer, data: Line): Promise<void> {
  const from = data.received().length;
  const visitor = await sendHello(at, 'web.localhost', { allowHalfOpen: true });
  await peer.next('visit');
  const whole = Buffer.concat([STARTED, frame('end')]);
  await data.until((all) => all.length >= from + STARTED.length);
  data.socket.write(Buffer.concat([frame('data', 'answer'), frame('end')]));
  await visitor.until('answer');
  visitor.socket.end();
  const all = await data.until((received) => received.length >= from + whole.length);
  expect(all.subarray(from)).toEqual(whole);
  await settled(() => at.counts().visitors === 0);
}

describe('a data connection for several visitors', () => {
  it('serves each of them with a ticket of its own', async () => {
    const { at, peer } = await relayWith();
    const { data, tickets } = await usedOnce(at, peer);
    expect(data.received().toString('latin1')).toMatch(CONFIRMED);
    show(data, tickets[0]!);
    await settled(() => at.stats().dataConnections.reused === 1);
    await serve(at, peer, data);
    const [next] = await peer.tickets('tls');
    show(data, next!.ticket);
    await settled(() => at.stats().dataConnections.reused === 2);
    await serve(at, peer, data);
  });

  it('is not offered to an agent that does not ask for it, and then serves one', async () => {
    const { at, peer } = await relayWith();
    const [one] = await peer.tickets('tls');
    const data = await peer.data(one!.ticket, 'tls', { allowHalfOpen: true });
    expect(data.received().toString()).not.toContain('portal-reuse');
    await sendHello(at, 'web.localhost');
    await peer.next('visit');
    const received = await data.until((all) => afterHead(all).length > HELLO.length);
    expect(afterHead(received)).toEqual(Buffer.concat([Buffer.from([1]), HELLO]));
  });

  it('is not offered over the carrier raw', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('web');
    const [one] = await peer.tickets();
    const data = await peer.data(one!.ticket);
    expect(data.received().toString()).not.toContain('portal-reuse');
  });

  it.each([
    ['a used ticket', (_other: string, used: string) => used],
    ['an unknown ticket', (other: string) => `${other.slice(0, 8)}AAAAAAAA${other.slice(16)}`],
    ['a wrong secret', (other: string) => other.slice(0, 16) + 'A'.repeat(32)],
  ])('is closed when the agent shows %s', async (_what, choose) => {
    const { at, peer } = await relayWith();
    const [one, two] = await peer.tickets('tls');
    const data = await shared(at, one!.ticket);
    await serve(at, peer, data);
    show(data, choose(two!.ticket, one!.ticket));
    await data.closed;
    expect((await peer.data(two!.ticket, 'tls')).received().toString()).toMatch(ACCEPTED);
  });

  it('is closed when the agent shows a ticket that is proven for another TLS session', async () => {
    const { at, peer } = await relayWith();
    const { data, tickets } = await usedOnce(at, peer);
    const other = await tls(at);
    const text = shownOn(other.socket, tickets[0]!).replace('Portal-Ticket ', '');
    data.socket.write(frame('ticket', text));
    await data.closed;
    expect((await peer.data(tickets[0]!, 'tls')).received().toString()).toMatch(ACCEPTED);
  });

  it('is closed when the agent shows a ticket of another session', async () => {
    const { at, peer } = await relayWith();
    const { data } = await usedOnce(at, peer);
    const other = await Peer.open(at);
    await other.lease('other', { carrier: 'tls' });
    const [foreign] = await other.tickets('tls');
    const before = data.received();
    show(data, foreign!.ticket);
    expect((await data.closed).received).toEqual(before);
  });

  it.each([
    [
      'shows a ticket before its visitor comes',
      (ticket: string) => frame('ticket', `${ticket}.${'a'.repeat(43)}`),
    ],
    ['sends data before its visitor comes', () => frame('data', 'me first')],
    ['sends a start', () => frame('start')],
    ['sends no frame', () => Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('is closed when the agent %s', async (_what, bytesOf) => {
    const { at, peer } = await relayWith();
    const [one, two] = await peer.tickets('tls');
    const data = await shared(at, one!.ticket);
    data.socket.write(bytesOf(two!.ticket.slice(0, 16)));
    await data.closed;
    await expect(peer.lease('other')).resolves.toBeDefined();
  });

  it('is closed when the agent sends more after the end of a visit, and the visitor does not get it', async () => {
    const { at, peer } = await relayWith();
    const [one] = await peer.tickets('tls');
    const data = await shared(at, one!.ticket);
    const visitor = await sendHello(at, 'web.localhost', { allowHalfOpen: true });
    await peer.next('visit');
    data.socket.write(Buffer.concat([frame('end'), frame('data', 'late')]));
    await data.closed;
    // The visitor has all bytes before the end, none, and the relay gives it up.
    await expect.poll(() => at.counts().visitors, { timeout: 15_000 }).toBe(0);
    expect(visitor.received()).toEqual(Buffer.alloc(0));
  });

  it('ends with its session, and after idleDataConnectionMs without a ticket', async () => {
    const { at, peer } = await relayWith();
    const { data } = await usedOnce(at, peer);
    peer.ws.terminate();
    expect(await data.closed).toMatchObject({ how: 'end' });
    const short = await relayWith({ idleDataConnectionMs: 100 });
    const used = await usedOnce(short.at, short.peer);
    expect(await used.data.closed).toMatchObject({ how: 'end' });
  });

  it(`is kept ${LIMITS.maxIdleDataConnections} times for a session, and closed beyond that`, async () => {
    const { at, peer } = await relayWith();
    const many = LIMITS.maxIdleDataConnections + 3;
    const visitors: Line[] = [];
    for (let number = 0; number < many; number++)
      visitors.push(await sendHello(at, 'web.localhost', { allowHalfOpen: true }));
    const all: Line[] = [];
    while (all.length < many)
      for (const { ticket } of await peer.tickets('tls')) all.push(await shared(at, ticket));
    await settled(() => all.filter(isStarted).length === many);
    const closed: Line[] = [];
    const started = all.filter(isStarted);
    for (const data of started) {
      void data.closed.then(() => closed.push(data));
      data.socket.write(frame('end'));
    }
    for (const { socket } of visitors) socket.end();
    await settled(() => closed.length === 3);
    expect(started.filter(({ socket }) => !socket.destroyed)).toHaveLength(LIMITS.maxIdleDataConnections);
  });
});
