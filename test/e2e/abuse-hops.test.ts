import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import { newTicket, showTicket } from '../../src/protocol/ticket.js';
import type { RelayOptions } from '../../src/relay/relay.js';
import { chain, chainOf, knowEachOther, peerOf } from '../support/chain.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, relay, service, type TestRelay } from '../support/world.js';
import { helloFor, Peer, shownOn, tcp, tls, type Line } from './relay-peer.js';

/** An exit, an entry that is its only peer, and an agent with a session at the exit. */
async function world(others: Partial<RelayOptions> = {}) {
  const { entry, exit } = await chain(2, { ports: { tcp: 'any' } }, others);
  const peer = await Peer.open(exit);
  return { entry, exit, peer, target: `localhost:${entry.port}` };
}

async function ticketOf(peer: Peer, target: string): Promise<string> {
  const answer = (await peer.request({ type: 'hop.open', target })) as unknown as { tickets: string[] };
  return answer.tickets[0]!;
}

/** Sends `CONNECT` to `exit`. Resolves with the connection and the status. */
async function connect(
  exit: TestRelay,
  target: string,
  ticket: string | undefined,
  more = '',
  from: { localAddress?: string } = {},
): Promise<Line & { status: number; head: string }> {
  const near = await tls(exit, from);
  const auth = ticket === undefined ? '' : `Proxy-Authorization: ${shownOn(near.socket, ticket)}\r\n`;
  near.socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${auth}\r\n${more}`);
  const head = (await near.until('\r\n\r\n')).toString();
  return { ...near, status: Number(head.slice(9, 12)), head };
}

describe('a relay is not an open proxy', () => {
  it('forwards a request with a valid ticket, and counts it', async () => {
    const { entry, exit, peer, target } = await world();
    const near = await connect(exit, target, await ticketOf(peer, target));
    expect(near.status).toBe(200);
    expect(exit.counts()).toMatchObject({ hops: 1, hopTickets: 0 });
    // The target treats it as a new connection.
    near.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect((await near.until('308')).toString()).toContain(`location: https://localhost:${entry.port}/`);
    near.socket.destroy();
    await expect.poll(() => exit.counts().hops).toBe(0);
    expect(exit.counts().hopBytes).toBeGreaterThan(100);
  });

  it('requires a ticket, which is valid once, for one target, while its session lives', async () => {
    const { exit, peer, target } = await world();
    expect(await connect(exit, target, undefined)).toMatchObject({ status: 407 });
    expect(await connect(exit, target, newTicket())).toMatchObject({ status: 403 });
    const once = await ticketOf(peer, target);
    expect(await connect(exit, target, once)).toMatchObject({ status: 200 });
    expect(await connect(exit, target, once)).toMatchObject({ status: 403 });
    // Using it for another target consumes it.
    const other = await ticketOf(peer, target);
    expect(await connect(exit, `localhost:${exit.port}`, other)).toMatchObject({ status: 403 });
    expect(await connect(exit, target, other)).toMatchObject({ status: 403 });
    await peer.lease('app');
    const data = (await peer.tickets())[0]!.ticket;
    expect(await connect(exit, target, data)).toMatchObject({ status: 403 });
    const left = await ticketOf(peer, target);
    peer.ws.terminate();
    await expect.poll(() => exit.counts()).toMatchObject({ sessions: 0, hopTickets: 0 });
    expect(await connect(exit, target, left)).toMatchObject({ status: 403 });
  });

  it('rejects an expired ticket', async () => {
    const { exit, peer, target } = await world({ limits: { ticketMs: 40 } });
    const ticket = await ticketOf(peer, target);
    await expect.poll(() => exit.counts().hopTickets).toBe(0);
    expect(await connect(exit, target, ticket)).toMatchObject({ status: 403 });
  });

  it('issues tickets only to proven identities', async () => {
    const { exit, target } = await world();
    const stranger = await Peer.connect(exit);
    stranger.say({ type: 'hop.open', id: 1, target });
    await expect(stranger.next('error')).resolves.toMatchObject({ code: 'protocol' });
  });

  it('limits the open tickets of a session', async () => {
    const { exit, peer, target } = await world();
    for (let round = 0; round < 2; round++) await peer.request({ type: 'hop.open', target, count: 256 });
    await expect(peer.request({ type: 'hop.open', target, count: 1 })).rejects.toMatchObject({
      code: 'limit_exceeded',
    });
    expect(exit.counts().hopTickets).toBe(512);
  });

  it.each([
    ['another port', 'localhost:{-1}'],
    ['another host', 'example.com:443'],
    ['capitals', 'LOCALHOST:{}'],
    ['a trailing dot', 'localhost.:{}'],
    ['a user', 'me@localhost:{}'],
    ['its address', '127.0.0.1:{}'],
    ['its IPv6 address', '[::1]:{}'],
    ['a mapped address', '[::ffff:127.0.0.1]:{}'],
    ['a number for its address', '2130706433:{}'],
    ['a zero before the port', 'localhost:0{}'],
    ['a port beyond the last', 'localhost:7{}'],
    ['a URL', 'https://localhost:{}'],
    ['a path', 'localhost:{}/'],
    ['a space', 'localhost :{}'],
    ['a null', 'localhost\0:{}'],
    ['a wide letter', 'localhosｔ:{}'],
    ['a name below', 'app.localhost:{}'],
    ['no port', 'localhost'],
  ])('knows its peers by one spelling only: not by %s', async (_what, pattern) => {
    const { entry, exit, peer } = await world();
    const target = pattern.replace('{-1}', String(entry.port - 1)).replace('{}', String(entry.port));
    await expect(peer.request({ type: 'hop.open', target })).rejects.toMatchObject({ code: 'peer_unknown' });
    expect(exit.counts().hopTickets).toBe(0);
  });

  it('rejects bytes that arrive before its response, especially a second CONNECT', async () => {
    const { exit, peer, target } = await world();
    expect(await connect(exit, target, await ticketOf(peer, target), 'early')).toMatchObject({ status: 400 });
    const [one, two] = [await ticketOf(peer, target), await ticketOf(peer, target)];
    const again = `CONNECT ${target} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: ${showTicket(two, undefined)}\r\n\r\n`;
    expect(await connect(exit, target, one, again)).toMatchObject({ status: 400 });
    expect(exit.counts().hops).toBe(0);
  });

  it('waits no longer for a complete CONNECT than for any request', async () => {
    const { exit, target } = await world({ limits: { requestHeadMs: 100 } });
    const near = await tls(exit);
    near.socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n`);
    expect((await near.closed).received.toString()).toContain('408');
  });

  it('rejects CONNECT without TLS', async () => {
    const { exit, peer, target } = await world();
    const near = await tcp(exit);
    const ticket = await ticketOf(peer, target);
    near.socket.write(
      `CONNECT ${target} HTTP/1.1\r\nProxy-Authorization: ${shownOn(near.socket, ticket)}\r\n\r\n`,
    );
    expect((await near.closed).received.toString()).not.toContain('200');
    expect(exit.counts().hops).toBe(0);
  });

  it('has limits for each identity and in total', async () => {
    const { exit, peer, target } = await world({
      limits: { maxHopConnectionsPerIdentity: 1, maxHopConnections: 2 },
    });
    expect(await connect(exit, target, await ticketOf(peer, target))).toMatchObject({ status: 200 });
    const refused = await connect(exit, target, await ticketOf(peer, target));
    expect(refused).toMatchObject({ status: 503, head: expect.stringContaining('limit_exceeded') as string });
    const other = await Peer.open(exit);
    expect(await connect(exit, target, await ticketOf(other, target))).toMatchObject({ status: 200 });
    const third = await Peer.open(exit);
    expect(await connect(exit, target, await ticketOf(third, target))).toMatchObject({ status: 503 });
    expect(exit.counts()).toMatchObject({
      hops: 2,
      refused: { maxHopConnectionsPerIdentity: 1, maxHopConnections: 1 },
    });
  });

  it('replaces a connection of the address with most by one of an address with fewer', async () => {
    const { exit, target } = await world({ limits: { maxHopConnections: 3 } });
    const crowd = [];
    for (let i = 0; i < 3; i++) {
      const member = await Peer.open(exit, { localAddress: '127.0.1.1' });
      crowd.push(await connect(exit, target, await ticketOf(member, target)));
    }
    expect(crowd.map(({ status }) => status)).toEqual([200, 200, 200]);
    const other = await Peer.open(exit);
    expect(await connect(exit, target, await ticketOf(other, target))).toMatchObject({ status: 200 });
    await crowd[0]!.closed;
    // The crowd retries, and gets no place back.
    const late = await Peer.open(exit, { localAddress: '127.0.1.1' });
    expect(await connect(exit, target, await ticketOf(late, target))).toMatchObject({ status: 503 });
    // The path to the target closes after the path to the replaced member.
    await expect.poll(() => exit.counts()).toMatchObject({ hops: 3, refused: { maxHopConnections: 2 } });
  });

  it('reports that a peer does not respond', async () => {
    const { entry, exit, peer, target } = await world();
    const ticket = await ticketOf(peer, target);
    await entry.close();
    const near = await connect(exit, target, ticket);
    expect(near).toMatchObject({ status: 502, head: expect.stringContaining('peer_unreachable') as string });
  });
});

describe('connections that a relay accepts for itself', () => {
  it('are visitors of leased names, and nothing else', async () => {
    const { exit, peer } = await world();
    const own = `localhost:${exit.port}`;
    peer.answerDials();
    const { hostname, lease } = await peer.lease('app', { carrier: 'tls' });
    const near = await connect(exit, own, await ticketOf(peer, own));
    near.socket.write(helloFor(hostname));
    await expect(peer.next('visit')).resolves.toMatchObject({ lease });
    for (const name of ['localhost', 'other.localhost']) {
      const refused = await connect(exit, own, await ticketOf(peer, own));
      refused.socket.write(helloFor(name));
      const { received } = await refused.closed;
      // The alert unrecognized_name, after the 200.
      expect(received.subarray(-7)).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, 112]));
    }
    const plain = await connect(exit, own, await ticketOf(peer, own));
    plain.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect((await plain.closed).received.toString()).not.toContain('308');
  });

  it('count as forwarded connections', async () => {
    const { exit, peer } = await world({ limits: { maxHopConnectionsPerIdentity: 2 } });
    const own = `localhost:${exit.port}`;
    for (const status of [200, 200, 503])
      expect(await connect(exit, own, await ticketOf(peer, own))).toMatchObject({ status });
    expect(exit.counts().refused).toMatchObject({ maxHopConnectionsPerIdentity: 1 });
  });

  it('include a port of a lease of the requesting session', async () => {
    const at = await relay({ ports: { tcp: 'any' } });
    const [peer, other] = [await Peer.open(at), await Peer.open(at)];
    peer.answerDials();
    const { tcpAddr } = await peer.lease('app', { mode: 'tcp', carrier: 'tls' });
    await expect(other.request({ type: 'hop.open', target: tcpAddr! })).rejects.toMatchObject({
      code: 'peer_unknown',
    });
    const near = await connect(at, tcpAddr!, await ticketOf(peer, tcpAddr!));
    expect(near.status).toBe(200);
    await expect(peer.next('visit')).resolves.toMatchObject({ remote: { address: '127.0.0.1' } });
  });
});

const preface = (count: string, from: string): string =>
  `GET /v1/hop HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: portal-hop\r\nPortal-Hops: ${count}\r\nPortal-From: ${from}\r\n\r\n`;

describe('a peer’s statement', () => {
  it('makes a connection count as new, once', async () => {
    const at = await relay();
    const near = await tcp(at);
    near.socket.write(preface('1', 'https://exit.example.com'));
    await near.until('101 Switching Protocols');
    near.socket.write(preface('1', 'https://exit.example.com'));
    expect((await near.until('too_many_hops')).toString()).toContain('508');
    const visitor = await tcp(at);
    visitor.socket.write(preface('2', 'https://exit.example.com'));
    await visitor.until('101 Switching Protocols');
    visitor.socket.write(helloFor('nobody.localhost'));
    expect((await visitor.closed).received.subarray(-7)[6]).toBe(112);
  });

  it.each([
    ['no count', '', 'https://exit.example.com', '400'],
    ['a count of 0', '0', 'https://exit.example.com', '400'],
    ['a negative count', '-1', 'https://exit.example.com', '400'],
    ['too many', '3', 'https://exit.example.com', 'too_many_hops'],
    ['far too many', '1e9', 'https://exit.example.com', '400'],
    ['nobody', '1', '', '400'],
    ['no URL', '1', 'exit', '400'],
  ])('is rejected with %s', async (_what, count, from, expected) => {
    const at = await relay();
    const near = await tcp(at);
    near.socket.write(preface(count, from));
    expect((await near.closed).received.toString()).toContain(expected);
  });

  it('is not accepted from the relay itself, when a peer’s name leads back to it', async () => {
    const at = await relay();
    const near = await tcp(at);
    near.socket.write(preface('1', at.url));
    expect((await near.closed).received.toString()).toContain('hop_loop');
  });

  it('is followed by nothing before the response', async () => {
    const at = await relay();
    const near = await tcp(at);
    near.socket.write(preface('1', 'https://exit.example.com') + 'GET / HTTP/1.1\r\n\r\n');
    expect((await near.closed).received.toString()).toContain('400');
  });

  it('does not extend the timeout for a silent client', async () => {
    const at = await relay({ limits: { firstBytesMs: 100 } });
    const near = await tcp(at);
    near.socket.write(preface('1', 'https://exit.example.com'));
    await near.until('101 Switching Protocols');
    expect(await near.closed).toMatchObject({ how: 'end' });
    expect(at.counts().unrouted).toBe(0);
  });
});

describe('invalid chains', () => {
  it.each([
    ['leads back', ['a', 'b', 'a'], 'hop_loop'],
    ['has four relays', ['d', 'c', 'b', 'a'], 'too_many_hops'],
    ['goes to a relay that is not a peer', ['d', 'a'], 'peer_unknown'],
  ] as const)('a chain that %s', async (_what, names, code) => {
    const d = await relay();
    const c = await relay({ peers: [peerOf(d)] });
    const a = await relay({ limits: { peerRetryMs: 20 } });
    const b = await relay({ peers: [peerOf(c), peerOf(a)], limits: { peerRetryMs: 20 } });
    await a.close();
    const again = await relay({ port: a.port, ca: a.ca, peers: [peerOf(b)], limits: { peerRetryMs: 20 } });
    const all = { a: again, b, c, d };
    await knowEachOther(Object.values(all));
    const one = await agent();
    await one.runner.apply(desired([chainOf(names.map((name) => all[name]))], service('app', 1)));
    const failed = await one.event('lease', ({ error }) => error?.code === code);
    expect(failed.phase).toBe('failed');
    expect(all.d.counts().leases + all.a.counts().leases).toBe(0);
  });
});

describe('peers', () => {
  it('are listed with their own descriptions, while those are true', async () => {
    const { entry, exit } = await world();
    const near = await tls(exit);
    near.socket.write('GET /v1/relays HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const { received } = await near.closed;
    const { relays } = JSON.parse(received.toString().split('\r\n\r\n')[1]!) as { relays: unknown[] };
    expect(relays).toEqual([entry.descriptor]);
    expect(exit.descriptor.capabilities).toContain('hop');
    expect(entry.descriptor.capabilities).not.toContain('hop');
  });

  it('are known by their first key, until the operator confirms a new one', async () => {
    const store = { file: join(await temporaryFolder(), 'relay.db') };
    const entry = await relay();
    const before = { store, peers: [peerOf(entry)], limits: { peerRefreshMs: 20, peerRetryMs: 20 } };
    const exit = await relay(before);
    await knowEachOther([exit]);
    await entry.close();
    // The same address, another key.
    await relay({ port: entry.port, ca: entry.ca, identity: generateIdentity() });
    await expect.poll(() => exit.counts().knownPeers).toBe(0);
    const peer = await Peer.open(exit);
    const refused = peer.request({ type: 'hop.open', target: `localhost:${entry.port}` });
    await expect(refused).rejects.toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining('its known key is') as string,
    });
    await exit.close();
    const anew = await relay({ ...before, trustPeers: [entry.url] });
    await knowEachOther([anew]);
    await anew.close();
    await knowEachOther([await relay(before)]);
  });

  it('must respond at exactly the configured URL', async () => {
    const entry = await relay();
    const named = { url: `https://127.0.0.1:${entry.port}`, ca: entry.ca.certificatePem };
    const exit = await relay({ peers: [named], limits: { peerRetryMs: 20 } });
    const peer = await Peer.open(exit);
    await expect
      .poll(() => peer.request({ type: 'hop.open', target: `127.0.0.1:${entry.port}` }).catch(String))
      .toContain('has a descriptor for https://localhost');
  });

  it('must have a trusted certificate', async () => {
    const entry = await relay();
    const port = entry.port;
    const exit = await relay({ peers: [{ url: entry.url, ca: (await relay()).ca.certificatePem }] });
    const peer = await Peer.open(exit);
    await expect
      .poll(() => peer.request({ type: 'hop.open', target: `localhost:${port}` }).catch(String))
      .toMatch(/cannot fetch the descriptor/);
    expect(exit.counts().knownPeers).toBe(0);
  });
});
