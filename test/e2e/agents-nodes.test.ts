import { expect, it } from 'vitest';
import { AgentsClient } from '../../src/agent/agents-client.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { cluster } from '../support/cluster.js';
import { ask, seen, signIn } from '../support/sign-in.js';
import {
  agent,
  AGENTS_WEB_DIR,
  desired,
  handedOver,
  service,
  type TestRelay,
  visit,
} from '../support/world.js';
import { line, Peer, settled } from './relay-peer.js';

/** The agents API of a relay with several nodes: it shows and does the same at every node. */

/** A relay of two nodes, a signed-in identity, and its agent at each of them. */
async function twoAgents() {
  const at = await cluster(2);
  const [first, second] = at.nodes as [TestRelay, TestRelay];
  const identity = generateIdentity();
  const one = await Peer.open(first, { identity });
  const two = await Peer.open(second, { identity });
  const token = await signIn(first, identity);
  return { at, first, second, identity, one, two, token };
}

const byName = (a: unknown[], b: unknown[]): number => String(a.at(-1)).localeCompare(String(b.at(-1)));

const report = (peer: Peer, fields: object) => peer.request({ type: 'report', ...fields });

/** Headers of the relay's own page. */
const fromPage = (at: TestRelay) => ({ origin: at.url, 'sec-fetch-site': 'same-origin' });

it('a token works at every node, until it is signed out at any of them', async () => {
  const { first, second, token, identity } = await twoAgents();
  for (const node of [first, second]) expect((await seen(node, token)).identity).toBe(identity.address);
  const { status } = await ask(second, 'DELETE', '/v1/sign-in', { token });
  expect(status).toBe(200);
  for (const node of [first, second])
    expect(await ask(node, 'GET', '/v1/agents', { token })).toMatchObject({
      status: 401,
      body: { code: 'unauthorized' },
    });
});

it('a link works once, at any node, and its cookie at every node', async () => {
  const identity = generateIdentity();
  const [one, other] = (await cluster(2, { agents: { webDir: AGENTS_WEB_DIR } })).nodes as [
    TestRelay,
    TestRelay,
  ];
  const { body } = await ask(one, 'POST', '/v1/sign-in/link', { token: await signIn(one, identity) });
  const code = new URL(body['url'] as string).hash.slice(1);
  const redeem = (node: TestRelay) =>
    ask(node, 'POST', '/v1/sign-in/code', { headers: fromPage(node), body: { code } });
  const redeemed = await redeem(other);
  expect(redeemed).toMatchObject({ status: 200, body: { identity: identity.address } });
  const cookie = redeemed.headers['set-cookie']![0]!.split(';')[0]!;
  for (const node of [one, other]) {
    expect((await ask(node, 'GET', '/v1/agents', { headers: { cookie } })).status).toBe(200);
    expect(await redeem(node)).toMatchObject({ status: 401, body: { code: 'expired' } });
  }
});

it('rejects tokens and codes of no node, and of a node that has ended', async () => {
  const { at, first, second, token } = await twoAgents();
  const [secret] = token.split('.').slice(-1);
  for (const wrong of [`n1.${secret}`, `n9.${secret}`, `.${secret}`, `n0.${secret!.slice(1)}A`])
    expect((await ask(second, 'GET', '/v1/agents', { token: wrong })).status).toBe(401);
  expect((await ask(first, 'GET', '/v1/agents', { token })).status).toBe(200);
  await at.crash(0);
  expect((await ask(second, 'GET', '/v1/agents', { token })).status).toBe(401);
  const expired = await ask(second, 'POST', '/v1/sign-in/code', {
    headers: fromPage(second),
    body: { code: `n0.${secret}` },
  });
  expect(expired.body).toMatchObject({ code: 'expired' });
});

it('shows the agents of all nodes at each, with the visitors of their services at all nodes', async () => {
  const at = await cluster(2);
  const nodes = at.nodes as [TestRelay, TestRelay];
  const target = await handedOver();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', target.port)));
  await one.event('ready');
  const { identity } = one;
  const home = nodes.findIndex((node) => node.counts().sessions > 0);
  const other = await Peer.open(nodes[1 - home]!, { identity });
  await other.lease('api');
  await report(other, { machine: 'server' });
  const token = await signIn(nodes[home]!, identity);
  for (const { port } of nodes) {
    const visitor = line(await visit({ port }, 'web.localhost', one.ca));
    (await target.next()).write('0123456789');
    await visitor.until('0123456789');
  }
  for (const node of nodes) {
    const { agents, names, truncated } = await seen(node, token);
    expect(
      agents.map(({ own, state, services }) => [own, state, services[0]!.name]).toSorted(byName),
    ).toEqual([
      [true, 'connected', 'api'],
      [true, 'connected', 'web'],
    ]);
    const [web] = agents.find(({ machine }) => machine !== 'server')!.services;
    expect(web).toMatchObject({ name: 'web', phase: 'ready', visitors: 2 });
    expect(names.map(({ name, use }) => [name, use])).toEqual([
      ['api', 'served'],
      ['web', 'served'],
    ]);
    expect(truncated).toBeUndefined();
  }
});

it('counts a visitor whom several nodes forward once', async () => {
  const at = await cluster(3);
  const [first, , third] = at.nodes as [TestRelay, TestRelay, TestRelay];
  const target = await handedOver();
  const one = await agent();
  // The session opens at the first node, and all data connections arrive at the second.
  at.route(() => (first.counts().sessions === 0 ? 0 : 1));
  await one.runner.apply(desired([at.spec], service('web', target.port)));
  await one.event('ready');
  const token = await signIn(first, one.identity);
  const web = async (node: TestRelay) => (await seen(node, token)).agents[0]!.services[0]!;
  // The agent visits the service, too.
  const before = await web(first);
  const visitor = line(await visit(third, 'web.localhost', one.ca));
  const [bytes, socket] = [1_000_000, await target.next()];
  socket.write(Buffer.alloc(bytes));
  await visitor.until((received) => received.length === bytes);
  expect(third.stats().visitorsForwarded).toBe(1);
  for (const node of at.nodes) {
    const { visitors, bytesIn, bytesOut } = await web(node);
    expect(visitors).toBe(1);
    // More than the payload, because of TLS.
    expect(bytesOut - before.bytesOut).toBeGreaterThan(bytes);
    expect(bytesOut - before.bytesOut).toBeLessThan(1.5 * bytes);
    expect(bytesIn - before.bytesIn).toBeLessThan(3_000);
  }
  for (const end of [visitor.socket, socket]) end.destroy();
  await expect.poll(async () => (await web(first)).visitors).toBe(0);
  expect((await web(first)).bytesOut - before.bytesOut).toBeLessThan(1.5 * bytes);
});

it('shows the agents of other nodes while one does not respond, before its client times out', async () => {
  const { at, first, identity, one, two } = await twoAgents();
  await report(one, { machine: 'here' });
  await report(two, { machine: 'there' });
  await one.lease('served-here');
  await two.lease('served-there');
  const free = await one.lease('free');
  await one.request({ type: 'lease.close', lease: free.lease });
  at.route(() => 0);
  const endpoint = { url: first.url, ca: first.ca.certificatePem };
  // As long as `portal agents` waits.
  const client = await AgentsClient.signIn({ endpoint, identity, ms: 5_000 });
  const release = at.hold(0, 1);
  const { agents, names, truncated } = await client.agents();
  expect([agents.map(({ machine }) => machine), truncated]).toEqual([['here'], true]);
  expect(names.map(({ name, use }) => [name, use])).toEqual([
    ['free', 'free'],
    ['served-here', 'served'],
    ['served-there', 'reconnecting'],
  ]);
  release();
  await client.close();
});

it('shows a member of the team the agents of all nodes', async () => {
  const { second, one, identity } = await twoAgents();
  const mate = generateIdentity();
  await report(one, { machine: 'laptop', team: [mate.address] });
  const { agents } = await seen(second, await signIn(second, mate));
  expect(agents).toMatchObject([{ own: false, machine: 'laptop', identity: identity.address }]);
});

it('disconnects an agent at every node, and rejects its process at nodes that start later, too', async () => {
  const { at, first, second, one, token, identity } = await twoAgents();
  await one.lease('web');
  const { agents } = await seen(second, token);
  const own = agents.find(({ services }) => services.length > 0)!;
  const disconnect = (node: TestRelay) =>
    ask(node, 'POST', `/v1/agents/${own.id}/disconnect`, { token }).then(({ status }) => status);
  expect(await disconnect(second)).toBe(200);
  expect(await one.next('error')).toMatchObject({ code: 'disconnected' });
  await settled(() => first.counts().leases === 0);
  for (const node of [first, second])
    await expect(Peer.open(node, { identity, instance: one.instance })).rejects.toThrow('1008 disconnected');
  const later = await at.join();
  await expect(Peer.open(later, { identity, instance: one.instance })).rejects.toThrow('1008 disconnected');
  expect(await ask(first, 'POST', '/v1/agents/000000000000/disconnect', { token })).toMatchObject({
    status: 404,
  });
});

it('releases a name that an agent of another node had, and not while that agent serves it', async () => {
  const { second, one, token } = await twoAgents();
  const { lease } = await one.lease('web');
  const release = () => ask(second, 'DELETE', '/v1/names/web', { token });
  expect(await release()).toMatchObject({ status: 409, body: { code: 'name_in_use' } });
  await one.request({ type: 'lease.close', lease });
  await expect.poll(async () => (await release()).status).toBe(200);
  await (await Peer.open(second)).lease('web');
});
