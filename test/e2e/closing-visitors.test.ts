import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { RelaySpec } from '../../src/agent/spec.js';
import { wire } from '../support/wire.js';
import {
  agent,
  desired,
  get,
  httpService,
  readAll,
  relay,
  service,
  tcpService,
  type TestAgent,
  type TestRelay,
} from '../support/world.js';
import { line, Peer, sendHello, helloFor, settled, tcp } from './relay-peer.js';

/** Visitors who have connected and wait when an agent closes a lease. */

/** Fatal `unrecognized_name`, as a TLS record. */
const UNRECOGNIZED_NAME = '15030300020270';
const VISITORS = 8;

const alertOf = async ({ closed }: { closed: Promise<{ received: Buffer }> }): Promise<string> =>
  (await closed).received.toString('hex');

/** The relay has accepted every connection that the system had completed for it. */
async function accepted(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}

/** A service whose agent can open no data connections, while visitors wait. */
async function heldVisitors() {
  const way = { target: 0 };
  const path = await wire(() => way.target);
  const at = await relay({ publicPort: path.port });
  way.target = at.port;
  const served: string[] = [];
  const { port } = await httpService(({ url = '' }, response) => {
    served.push(url);
    response.end('hello');
  });
  const one = await agent();
  const spec: RelaySpec = {
    kind: 'url',
    url: `https://localhost:${path.port}`,
    caFile: at.ca.certificateFile,
  };
  await one.runner.apply(desired([spec], service('web', port)));
  await one.event('ready');
  // Nothing listens there.
  way.target = 1;
  const visits = Array.from({ length: VISITORS }, (_, index) =>
    get(at, 'web.localhost', one.ca, `/${index}`),
  );
  // The others use connections that were idle.
  await settled(() => at.counts().waiting >= VISITORS / 2);
  const release = (): void => void (way.target = at.port);
  return { at, one, spec, port, visits, served, release };
}

type Close = (one: TestAgent, port: number) => Promise<unknown>;

const WAYS: Record<string, Close> = {
  'the agent stops': async (one) => one.runner.stop({ reason: 'test', drainMs: 10_000 }),
  'the service leaves portal.yaml': async (one) => one.runner.apply(desired([])),
  'the service moves to another relay': async (one, port) => {
    const other = await relay();
    return one.runner.apply(desired([other.spec], service('web', port)));
  },
};

describe.each(Object.entries(WAYS))('when %s', (_, close) => {
  it('serves visitors who had connected once, and rejects later ones with one alert', async () => {
    const { at, one, port, visits, served, release } = await heldVisitors();
    const closed = close(one, port);
    await settled(() => at.counts().leases === 0);
    await accepted();
    const late = await sendHello(at, 'web.localhost');
    expect(await alertOf(late)).toBe(UNRECOGNIZED_NAME);
    release();
    for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
    expect(served.toSorted()).toEqual(visits.map((_each, index) => `/${index}`));
    await closed;
  });
});

describe('when a hundred services close at once', () => {
  it('serves the visitors of each', async () => {
    // More than the pings that a WebSocket of ws leaves unanswered before it ends.
    const { at, one, spec, port, visits, release } = await heldVisitors();
    const others = Array.from({ length: 99 }, (_, index) => service(`other-${index}`, port));
    await one.runner.apply(desired([spec], service('web', port), ...others));
    await settled(() => at.counts().leases === 100);
    const closed = one.runner.apply(desired([]));
    await settled(() => at.counts().leases === 0);
    release();
    for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
    await closed;
  });
});

/** An agent with a lease whose visitors get no data connection yet. */
async function peerWith(
  over: object = {},
): Promise<{ at: TestRelay; peer: Peer; lease: string; port: number }> {
  const at = await relay({ ports: { tcp: 'any' } });
  const peer = await Peer.open(at);
  const { lease, tcpAddr } = await peer.lease('web', over);
  return { at, peer, lease, port: Number(tcpAddr?.split(':').at(-1)) };
}

describe('a lease that its agent closes', () => {
  it('gets the visitors who wait before the response, and leaves its name to others at once', async () => {
    const { at, peer, lease } = await peerWith();
    const visitors = [await sendHello(at, 'web.localhost'), await sendHello(at, 'web.localhost')];
    await settled(() => at.counts().waiting === 2);
    const closed = peer
      .request({ type: 'lease.close', lease, waitMs: 60_000 })
      .then(() => at.counts().waiting);
    await settled(() => at.counts().leases === 0);
    await (await Peer.open(at, { identity: peer.identity, instance: 'next' })).lease('web');
    peer.answerDials();
    for (let served = 0; served < visitors.length; served++) {
      const { data } = await peer.visited();
      data.socket.end('hello');
    }
    for (const visitor of visitors) expect((await visitor.closed).received.toString()).toBe('hello');
    expect(await closed).toBe(0);
  });

  it('gets a visitor whose ClientHello arrives later than its connection', async () => {
    const { at, peer, lease } = await peerWith();
    const visitor = await tcp(at);
    await accepted();
    const closed = peer.request({ type: 'lease.close', lease, waitMs: 60_000 });
    await settled(() => at.counts().leases === 0);
    visitor.socket.write(helloFor('web.localhost'));
    peer.answerDials();
    (await peer.visited()).data.socket.end('hello');
    expect((await visitor.closed).received.toString()).toBe('hello');
    await closed;
  });

  it('gets the visitors of its port that the system had connected', async () => {
    const { peer, lease, port } = await peerWith({ mode: 'tcp', carrier: 'raw' });
    peer.answerDials({ allowHalfOpen: true });
    const visitors = Array.from({ length: 6 }, () => line(connect({ host: '127.0.0.1', port })));
    const closed = peer.request({ type: 'lease.close', lease, waitMs: 60_000 });
    for (let served = 0; served < visitors.length; served++)
      (await peer.visited()).data.socket.end('220 ready');
    for (const visitor of visitors) expect((await visitor.closed).received.toString()).toBe('220 ready');
    await closed;
    await expect(tcp({ port })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('rejects the visitors who still wait after that time, with the alert of an unknown name', async () => {
    const { at, peer, lease } = await peerWith();
    const visitor = await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
    await peer.request({ type: 'lease.close', lease, waitMs: 0 });
    expect(await alertOf(visitor)).toBe(UNRECOGNIZED_NAME);
  });

  it('rejects the visitors who still wait when its session ends', async () => {
    const { at, peer, lease } = await peerWith();
    const visitor = await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
    peer.say({ type: 'lease.close', id: 100, lease, waitMs: 60_000 });
    await settled(() => at.counts().leases === 0);
    peer.ws.close();
    expect(await alertOf(visitor)).toBe(UNRECOGNIZED_NAME);
  });

  it('keeps its port from a lease of the same name until it is closed', async () => {
    const { peer, lease, port } = await peerWith({ mode: 'tcp', carrier: 'raw' });
    const closed = peer.request({ type: 'lease.close', lease });
    const { tcpAddr } = await peer.lease('web', { mode: 'tcp', carrier: 'raw' });
    expect(tcpAddr).toBe(`localhost:${port}`);
    await closed;
  });
});

it('visitors of a port who wait when the agent stops reach the service', async () => {
  const at = await relay({ ports: { tcp: 'any' } });
  const greeting = await tcpService((socket) => void socket.end('220 ready'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('mail', greeting, { mode: 'tcp', carrier: 'tls' })));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = Number(tcpAddr!.split(':').at(-1));
  const calls = Array.from({ length: 6 }, () => readAll(connect({ host: '127.0.0.1', port })));
  await settled(() => at.counts().waiting > 0);
  const stopped = one.runner.stop({ reason: 'test', drainMs: 10_000 });
  for (const said of await Promise.all(calls)) expect(said.toString()).toBe('220 ready');
  await stopped;
});
