import { describe, expect, it, onTestFinished } from 'vitest';
import type { WireCarrier } from '../../src/protocol/messages.js';
import { cluster, type TestCluster } from '../support/cluster.js';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { connect } from 'node:net';
import { keepVisiting } from '../support/keep-visiting.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { agent, desired, get, handedOver, httpService, NOT_HTTP, service, visit } from '../support/world.js';

/** A relay of several nodes: agents and visitors arrive at any of them. */

async function published(at: TestCluster, over: Parameters<typeof service>[2] = {}) {
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port, over)));
  await one.event('lease', ({ phase }) => phase === 'ready');
  return one;
}

/** A visit whose visitor arrives at `node`; its data connections arrive at any node. */
const getAt = (at: TestCluster, node: number, one: Awaited<ReturnType<typeof published>>) =>
  get({ port: at.nodes[node]!.port }, 'web.localhost', one.ca);

const OVER = ['loopback', 'TLS'] as const;
const CARRIERS: readonly WireCarrier[] = ['raw', 'tls', 'ws'];
const EACH = OVER.flatMap((over) => CARRIERS.map((carrier) => ({ over, carrier })));

describe.each(EACH)('a relay of two nodes over $over, with carrier $carrier', ({ over, carrier }) => {
  it('serves visitors at either node', async () => {
    const at = await cluster(2, { over });
    const one = await published(at, { carrier });
    expect(at.nodes.map((node) => node.counts().sessions).toSorted((a, b) => a - b)).toEqual([0, 1]);
    for (let round = 0; round < 6; round++)
      for (const node of [0, 1]) expect((await getAt(at, node, one)).text).toContain('hello');
  });

  it('serves many visitors at once at both', async () => {
    const at = await cluster(2, { over });
    const one = await published(at, { carrier });
    const visits = Array.from({ length: 60 }, (_, index) => getAt(at, index % 2, one));
    for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
  });
});

/** The node that has the session. */
const homeOf = (at: TestCluster): number => at.nodes.findIndex((node) => node.counts().sessions > 0);

it.each(OVER)(
  'lets visitors wait at every node while the agent is disconnected, and keeps those connected, over %s',
  async (over) => {
    const at = await cluster(2, { over });
    const target = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', target.port, { alpn: [] as never })));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const [home, other] = homeOf(at) === 0 ? [0, 1] : [1, 0];
    const connected = await Promise.all(
      [home, other].map((node) => visit({ port: at.nodes[node]!.port }, 'web.localhost', one.ca, NOT_HTTP)),
    );
    const served = [await target.next(), await target.next()];
    // Its control channel is the first connection. Once it is back, data connections arrive in turns.
    let arrived = 0;
    const isBack = (): boolean => at.nodes[other]!.counts().sessions > 0;
    at.route(() => (isBack() && arrived++ % 2 === 0 ? home : other));
    at.path.connections[0]!.kill();
    const waiting = [home, other].map((node) =>
      visit({ port: at.nodes[node]!.port }, 'web.localhost', one.ca, NOT_HTTP),
    );
    for (const socket of await Promise.all(waiting)) expect(socket.authorized).toBe(true);
    expect(homeOf(at)).toBe(other);
    const texts = served.map(
      (socket) => new Promise((resolve) => socket.once('data', (chunk: Buffer) => resolve(String(chunk)))),
    );
    for (const socket of connected) socket.write('still here');
    expect(await Promise.all(texts)).toEqual(['still here', 'still here']);
  },
);

it.each(OVER)(
  'keeps the public port of a service whose agent returns at another node, over %s',
  async (over) => {
    const at = await cluster(2, { over, ports: { tcp: 'any' } });
    const target = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('db', target.port, { mode: 'tcp' })));
    const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
    const home = homeOf(at);
    at.route(() => 1 - home);
    const mark = one.events.length;
    at.path.connections[0]!.kill();
    const again = await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect(again.tcpAddr).toBe(tcpAddr);
    expect(homeOf(at)).toBe(1 - home);
    const visitor = connect({ host: '127.0.0.1', port: Number(tcpAddr!.split(':')[1]) });
    visitor.write('hello');
    const socket = await target.next();
    const text = await new Promise((resolve) =>
      socket.once('data', (chunk: Buffer) => resolve(String(chunk))),
    );
    visitor.destroy();
    expect(text).toBe('hello');
  },
);

it.each(OVER)(
  'lets visitors of a crashed node wait at the others until its agents return, over %s',
  async (over) => {
    const at = await cluster(2, { over });
    const one = await published(at);
    const home = homeOf(at);
    at.route(() => 1 - home);
    const crashed = at.crash(home);
    const { text } = await getAt(at, 1 - home, one);
    expect(text).toContain('hello');
    await crashed;
  },
);

it.each(OVER)('moves agents to another node before a node stops, over %s', async (over) => {
  const at = await cluster(2, { over });
  const one = await published(at);
  const home = homeOf(at);
  // A load balancer that notices a stopping node at once.
  at.route(() => (at.nodes[home]!.problem() === undefined ? home : 1 - home));
  const mark = one.events.length;
  const visiting = keepVisiting(at.path, 'web.localhost', one.ca);
  await expect.poll(() => visiting.results.length).toBeGreaterThan(2);
  const stopped = at.stop(home);
  // One that has not noticed yet.
  expect((await getAt(at, home, one)).text).toContain('hello');
  await expect.poll(() => at.nodes[1 - home]!.counts().sessions).toBe(1);
  expect((await getAt(at, home, one)).text).toContain('hello');
  await stopped;
  await visiting.end();
  expect(visiting.results.filter((text) => !text.includes('hello'))).toEqual([]);
  expect(one.events.slice(mark).filter(({ event }) => event === 'lease')).toEqual([]);
  expect(homeOf(at)).toBe(1 - home);
});

it('serves a visitor whose notice arrives after its agent has moved to another node', async () => {
  const at = await cluster(2);
  const one = await published(at);
  const home = homeOf(at);
  const other = 1 - home;
  at.route(() => other);
  expect((await getAt(at, other, one)).text).toContain('hello');
  const release = at.hold(other, home);
  const visited = getAt(at, other, one);
  await expect.poll(() => at.nodes[other]!.counts().visitors).toBe(1);
  const stopped = at.stop(home);
  await expect.poll(() => at.nodes[other]!.counts().leases).toBe(1);
  // The agent serves the name at the other node now.
  expect((await getAt(at, other, one)).text).toContain('hello');
  release();
  expect((await visited).text).toContain('hello');
  await stopped;
});

it.each(EACH)(
  'forwards a visitor whose data connections all arrive at the node of its service, over $over and carrier $carrier',
  async ({ over, carrier }) => {
    const at = await cluster(2, { over });
    at.route(() => 0);
    const one = await published(at, { carrier });
    for (let round = 0; round < 4; round++) expect((await getAt(at, 1, one)).text).toContain('hello');
    const visits = Array.from({ length: 30 }, () => getAt(at, 1, one));
    for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
    const { visitorsForwarded, visitorsRemote } = at.nodes[1]!.stats();
    expect(visitorsForwarded).toBeGreaterThan(0);
    expect(visitorsRemote).toBe(34);
    expect(at.nodes[0]!.stats().visitorsRemote).toBe(0);
  },
);

it.each(OVER)(
  'shows the address of a forwarded visitor to the service, and its end, over %s',
  async (over) => {
    const at = await cluster(2, { over });
    at.route(() => 0);
    const target = await handedOver();
    const one = await agent();
    const spec = service('web', target.port, { alpn: [] as never, proxyProtocol: true });
    await one.runner.apply(desired([at.spec], spec));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const visitor = connect({ host: '127.0.0.1', port: at.nodes[1]!.port });
    await visit(at.nodes[1]!, 'web.localhost', one.ca, { ...NOT_HTTP, socket: visitor });
    const { localPort } = visitor;
    const socket = await target.next();
    // PROXY protocol, version 2: the visitor's port follows both IPv4 addresses.
    const header = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    expect(header.readUInt16BE(24)).toBe(localPort);
    const ended = new Promise((resolve) => socket.once('end', resolve));
    visitor.destroy();
    await ended;
  },
);

/** Each node has an IP address of its own, and agents connect to another one: a balancer for TCP and UDP. */
async function behindBalancer(count: number, options: Parameters<typeof cluster>[1]) {
  const at = await cluster(count, { hostOf: (node) => `127.0.0.${2 + Number(node.slice(1))}`, ...options });
  const [agents, nodes] = [createSocket('udp4'), createSocket('udp4')];
  onTestFinished(() => void [agents, nodes].map((socket) => socket.close()));
  let udpTo = 0;
  let agentAt: RemoteInfo | undefined;
  agents.on('message', (packet, from) => {
    agentAt = from;
    const { host, port } = at.nodes[udpTo]!.addresses[0]!;
    nodes.send(packet, port, host);
  });
  nodes.on('message', (packet, { address }) => {
    // A balancer knows no flow from another node.
    if (address === at.nodes[udpTo]!.addresses[0]!.host) agents.send(packet, agentAt!.port, agentAt!.address);
  });
  await new Promise<void>((resolve) => agents.bind(at.path.port, '127.0.0.1', resolve));
  return { ...at, routeUdp: (node: number) => void (udpTo = node) };
}

it('gives a TCP port at the host of the node that serves the lease, and visits it there', async () => {
  const at = await behindBalancer(2, { ports: { tcp: 'any' } });
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port, { mode: 'tcp' })));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  expect(tcpAddr).toMatch(new RegExp(`^127\\.0\\.0\\.${2 + homeOf(at)}:\\d+$`));
});

it.each(OVER)('replies to packets of an agent from the node where they arrive, over %s', async (over) => {
  const at = await behindBalancer(2, { over, ports: { udp: 'any' } });
  const echo = await udpService();
  const one = await agent();
  at.route(() => 0);
  at.routeUdp(1);
  await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp' })));
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const [host, port] = udpAddr!.split(':');
  expect(host).toBe('127.0.0.2');
  const visitor = await udpVisitor(Number(port), host);
  expect(await visitor.ask('hello')).toBe('hello');
  expect((await one.runner.status()).relays[0]!.datagrams!.carrier).toBe('udp');
  at.routeUdp(0);
  expect(await visitor.ask('again')).toBe('again');
});
