import { once } from 'node:events';
import { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { nameOf, newTicket } from '../../src/protocol/ticket.js';
import { ticketLine } from '../../src/protocol/ticket-line.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { agent, desired, get, httpService, relay, service, type TestRelay } from '../support/world.js';
import { helloFor, sendHello, Peer, settled, tcp, tls, upgradeWith, type Line } from './relay-peer.js';

const START = Buffer.from([1]);
const HELLO = helloFor('web.localhost');
const REJECTED = Buffer.from([3]);
const lineOf = (ticket: string): Buffer => Buffer.from(ticketLine(ticket), 'latin1');

async function relayWith(limits: Partial<RelayLimits> = {}): Promise<{ at: TestRelay; peer: Peer }> {
  const at = await relay({ limits });
  return { at, peer: await Peer.open(at) };
}

/** A connection with these first bytes. */
async function sending(at: TestRelay, bytes: Buffer, allowHalfOpen = false): Promise<Line> {
  const one = await tcp(at, { allowHalfOpen });
  one.socket.write(bytes);
  return one;
}

const answerTo = async (at: TestRelay, bytes: Buffer): Promise<Buffer> =>
  (await (await sending(at, bytes)).closed).received;

/** Whether a visitor arrives on `data`. */
async function serves(at: TestRelay, peer: Peer, data: Line): Promise<void> {
  const visitor = await sendHello(at, 'web.localhost');
  await peer.next('visit');
  expect(await data.until((all) => all.length >= START.length + HELLO.length)).toEqual(
    Buffer.concat([START, HELLO]),
  );
  data.socket.write('answer');
  await visitor.until('answer');
}

describe('a data connection that begins with a ticket line', () => {
  it('gets nothing but the start byte and its visitor', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const data = await sending(at, lineOf(one!.ticket));
    await settled(() => at.counts().tickets === 1);
    expect(data.received()).toEqual(Buffer.alloc(0));
    await serves(at, peer, data);
    expect(at.counts().unrouted).toBe(0);
  });

  it('serves a visitor that waits for it', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    await sendHello(at, 'web.localhost');
    const [one] = await peer.tickets();
    const data = await sending(at, lineOf(one!.ticket));
    expect(await data.until((all) => all.length >= START.length + HELLO.length)).toEqual(
      Buffer.concat([START, HELLO]),
    );
    expect((await peer.next('visit')).connection).toBe(one!.connection);
  });

  it('may arrive byte by byte', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const data = await tcp(at, { allowHalfOpen: true });
    for (const byte of lineOf(one!.ticket)) {
      data.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await settled(() => at.counts().tickets === 1);
    expect(data.received()).toEqual(Buffer.alloc(0));
    await serves(at, peer, data);
  });

  it('forwards half-closes and resets', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one, two] = await peer.tickets();
    const visitor = await sendHello(at, 'web.localhost', { allowHalfOpen: true });
    const data = await sending(at, lineOf(one!.ticket), true);
    await data.until((all) => all.length >= START.length + HELLO.length);
    visitor.socket.end('question');
    await data.until('question');
    if (!data.socket.readableEnded) await once(data.socket, 'end');
    data.socket.end('answer');
    expect((await visitor.closed).received.toString()).toBe('answer');

    const other = await sending(at, lineOf(two!.ticket));
    const second = await sendHello(at, 'web.localhost');
    await other.until((all) => all.length >= START.length + HELLO.length);
    other.socket.resetAndDestroy();
    expect((await second.closed).how).toBe('ECONNRESET');
  });

  it('does not count towards maxConnectionsPerAddress', async () => {
    const { at, peer } = await relayWith({ maxConnectionsPerAddress: 3 });
    await peer.lease('web');
    const tickets = await peer.tickets();
    for (const { ticket } of tickets) await sending(at, lineOf(ticket));
    await settled(() => at.counts().tickets === 0);
    // Besides these, at most the control channel counts.
    for (let open = 0; open < 2; open++) await tcp(at);
    await settled(() => at.counts().unrouted === 2);
    expect(at.counts().refused).toEqual({});
  });
});

describe('a ticket line is rejected with 0x03', () => {
  it('if its ticket was used', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const data = await sending(at, lineOf(one!.ticket));
    await settled(() => at.counts().tickets === 1);
    expect(await answerTo(at, lineOf(one!.ticket))).toEqual(REJECTED);
    await serves(at, peer, data);
  });

  it('if its ticket has expired', async () => {
    const { at, peer } = await relayWith({ ticketMs: 40 });
    await peer.lease('web');
    const [one] = await peer.tickets();
    await peer.tickets();
    expect(await answerTo(at, lineOf(one!.ticket))).toEqual(REJECTED);
  });

  it('if its ticket is for another carrier, and the ticket stays valid', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web', { carrier: 'tls' });
    const [one] = await peer.tickets('tls');
    expect(await answerTo(at, lineOf(one!.ticket))).toEqual(REJECTED);
    const own = await tls(at);
    own.socket.write(upgradeWith(one!.ticket, own.socket));
    await own.until('HTTP/1.1 101 ');
  });

  it('if the session of its ticket has ended', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    peer.ws.terminate();
    await settled(() => at.counts().tickets === 0);
    expect(await answerTo(at, lineOf(one!.ticket))).toEqual(REJECTED);
  });

  it.each([
    ['has a wrong secret', (ticket: string) => lineOf(nameOf(ticket) + newTicket().slice(16))],
    ['names an unknown ticket', () => lineOf(newTicket())],
    ['is malformed', (ticket: string) => Buffer.from(ticketLine(ticket).replace('\n', '\r'))],
    ['is longer', (ticket: string) => Buffer.from(ticketLine(ticket).replace('\n', 'xx\n'))],
    ['has bytes after it', (ticket: string) => Buffer.concat([lineOf(ticket), HELLO])],
  ])('if it %s, and the ticket stays valid', async (_what, bytesOf) => {
    const { at, peer } = await relayWith({ ticketMs: 600_000 });
    await peer.lease('web');
    const [one] = await peer.tickets();
    expect(await answerTo(at, bytesOf(one!.ticket))).toEqual(REJECTED);
    const data = await sending(at, lineOf(one!.ticket));
    await settled(() => at.counts().tickets === 1);
    await serves(at, peer, data);
  });
});

describe('a connection that begins like a ticket line', () => {
  it('and sends more before the start byte is dropped', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const data = await sending(at, lineOf(one!.ticket));
    await settled(() => at.counts().tickets === 1);
    data.socket.write('me first');
    expect((await data.closed).received).toEqual(Buffer.alloc(0));
  });

  it('and ends before the start byte is dropped', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const data = await sending(at, lineOf(one!.ticket));
    data.socket.end();
    expect((await data.closed).received).toEqual(Buffer.alloc(0));
    await settled(() => at.counts().tickets >= 1);
    await expect(peer.lease('other')).resolves.toBeDefined();
  });

  it.each([
    ['its first byte', 1],
    ['all but its last byte', 50],
  ])('with only %s is closed after firstBytesMs, without a response', async (_what, length) => {
    const { at, peer } = await relayWith({ firstBytesMs: 100 });
    await peer.lease('web');
    const [one] = await peer.tickets();
    expect(await answerTo(at, lineOf(one!.ticket).subarray(0, length))).toEqual(Buffer.alloc(0));
    expect(at.counts().unrouted).toBe(0);
  });

  it('counts towards maxUnroutedConnections', async () => {
    const { at } = await relayWith({ maxUnroutedConnections: 2 });
    const part = lineOf(newTicket()).subarray(0, 50);
    const first = await sending(at, part);
    for (let more = 0; more < 2; more++) await sending(at, part);
    await first.closed;
    expect(at.counts()).toMatchObject({ unrouted: 2, refused: { maxUnroutedConnections: 1 } });
  });

  it('inside TLS with the relay is no HTTP', async () => {
    const { at, peer } = await relayWith();
    await peer.lease('web');
    const [one] = await peer.tickets();
    const inside = await tls(at);
    inside.socket.write(lineOf(one!.ticket));
    expect((await inside.closed).received.toString()).toMatch(/^HTTP\/1\.1 400 /);
    expect(at.counts().tickets).toBe(2);
  });
});

/** Serves visitors of an agent. Resolves with how the agent began its data connections. */
async function beginnings(): Promise<Set<string>> {
  const found = new Set<string>();
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its socket below
  const { write } = Socket.prototype;
  const spy = vi.spyOn(Socket.prototype, 'write').mockImplementation(function (this: Socket, ...args) {
    const text = typeof args[0] === 'string' ? args[0] : '';
    if (text.startsWith('\x02')) found.add('line');
    if (text.startsWith('GET /v1/data ')) found.add('upgrade');
    return write.apply(this, args as never);
  });
  onTestFinished(() => spy.mockRestore());
  const at = await relay();
  const { port } = await httpService((_request, response) => response.end('served'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port)));
  for (let visit = 0; visit < 5; visit++)
    expect((await get(at, 'web.localhost', one.ca)).text).toContain('served');
  return found;
}

describe('an agent', () => {
  it('sends ticket lines to a relay that accepts them, and no upgrade', async () => {
    expect(await beginnings()).toEqual(new Set(['line']));
  });

  it('sends upgrades to a relay that announces no ticket lines', async () => {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its WebSocket below
    const { send } = WebSocket.prototype;
    const spy = vi.spyOn(WebSocket.prototype, 'send').mockImplementation(function (this: WebSocket, ...args) {
      if (typeof args[0] === 'string') args[0] = args[0].replace(',"ticketLine":true', '');
      return send.apply(this, args as never);
    });
    onTestFinished(() => spy.mockRestore());
    expect(await beginnings()).toEqual(new Set(['upgrade']));
  });
});
