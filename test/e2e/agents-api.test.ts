import { once } from 'node:events';
import { expect, describe, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import { STATEMENTS } from '../../src/protocol/challenge.js';
import { LIMITS } from '../../src/protocol/limits.js';
import { udpVisitor } from '../support/udp.js';
import { ask, challenge, oneConnection, seen, signIn } from '../support/sign-in.js';
import { relay, type TestRelay } from '../support/world.js';
import { sendHello, Peer, settled, tls } from './relay-peer.js';

/** What a relay shows through its API: the right identity's data, and nothing to others. */

const report = (peer: Peer, fields: object) => peer.request({ type: 'report', ...fields });

/** Headers of the relay's own page. */
const fromPage = (at: TestRelay): Record<string, string> => ({
  origin: at.url,
  'sec-fetch-site': 'same-origin',
});

async function cookieOf(at: TestRelay, token: string): Promise<string> {
  const { body } = await ask(at, 'POST', '/v1/sign-in/link', { token });
  const code = new URL(body['url'] as string).hash.slice(1);
  const { headers } = await ask(at, 'POST', '/v1/sign-in/code', { headers: fromPage(at), body: { code } });
  return headers['set-cookie']![0]!.split(';')[0]!;
}

describe('what an identity sees', () => {
  it('its agents: machine, services and phases as reported, traffic, and address', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    peer.answerDials();
    const { lease, hostname } = await peer.lease('web');
    await report(peer, {
      machine: 'laptop',
      services: [
        { service: 'site', lease, phase: 'ready' },
        { service: 'api', phase: 'failed', code: 'name_taken' },
      ],
    });
    const token = await signIn(at, peer.identity);
    const visitor = await sendHello(at, hostname);
    const { data } = await peer.visited();
    data.socket.write('0123456789');
    await visitor.until('0123456789');
    const answer = await seen(at, token);
    expect(answer).toMatchObject({ relay: at.url, identity: peer.identity.address });
    expect(answer.agents).toMatchObject([
      {
        id: expect.stringMatching(/^[0-9a-f]{12}$/),
        identity: peer.identity.address,
        own: true,
        machine: 'laptop',
        version: 'test',
        state: 'connected',
        from: '127.0.0.1',
        services: [
          {
            service: 'site',
            name: 'web',
            kind: 'tls',
            address: `https://${hostname}:${at.port}`,
            phase: 'ready',
            visitors: 1,
            bytesOut: 10,
          },
          { service: 'api', phase: 'failed', code: 'name_taken', visitors: 0 },
        ],
      },
    ]);
    expect(answer.agents[0]!.services[0]!.bytesIn).toBeGreaterThan(100);
    expect(answer.names).toMatchObject([
      { name: 'web', use: 'served', agent: answer.agents[0]!.id, ports: {} },
    ]);
    // The instance itself stays secret.
    expect(JSON.stringify(answer)).not.toContain(peer.instance);
    // Ended connections still count.
    visitor.socket.destroy();
    await settled(() => at.counts().visitors === 0);
    expect((await seen(at, token)).agents[0]!.services[0]).toMatchObject({ visitors: 0, bytesOut: 10 });
  });

  it('the current metadata of its services, up to the size limit of a response', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    const metadata = { owner: 'team-web', note: 'a\u001b[2Jb' };
    const { lease } = await peer.lease('web', { metadata });
    await peer.lease('bare');
    const token = await signIn(at, peer.identity);
    const shown = async () =>
      (await seen(at, token)).agents[0]!.services.map((service) => [service.name, service.metadata]);
    expect(await shown()).toEqual([
      ['web', metadata],
      ['bare', undefined],
    ]);
    await peer.request({ type: 'lease.update', lease, metadata: { owner: 'other' } });
    expect(await shown()).toEqual([
      ['web', { owner: 'other' }],
      ['bare', undefined],
    ]);
    const large = Object.fromEntries(
      Array.from({ length: LIMITS.maxMetadataEntries }, (_, index) => [
        `${index}`.padEnd(LIMITS.maxMetadataKeyChars, 'k'),
        'v'.repeat(LIMITS.maxMetadataValueChars),
      ]),
    );
    for (let count = 0; count < 110; count++) await peer.lease(`large${count}`, { metadata: large });
    const { agents, truncated } = await seen(at, token);
    const chars = agents[0]!.services.flatMap(({ metadata: own = {} }) => Object.entries(own).flat());
    expect(truncated).toBe(true);
    expect(agents[0]!.services).toHaveLength(112);
    expect(chars.join('').length).toBeLessThanOrEqual(LIMITS.maxMetadataShownChars);
    expect(chars.join('').length).toBeGreaterThan(LIMITS.maxMetadataShownChars - 11_000);
  });

  it('removed services disappear, changed ones change, and a partial report keeps the others', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    const { lease } = await peer.lease('web');
    await report(peer, { machine: 'm', services: [{ service: 'web', lease, phase: 'opening' }] });
    await report(peer, { services: [{ service: 'web', lease, phase: 'ready' }] });
    await report(peer, { services: [{ service: 'gone', phase: 'retrying', code: 'timeout' }] });
    await report(peer, { services: [{ service: 'gone', phase: 'closed' }] });
    const [agent] = (await seen(at, await signIn(at, peer.identity))).agents;
    expect(agent).toMatchObject({ machine: 'm', services: [{ service: 'web', phase: 'ready' }] });
    expect(agent!.services).toHaveLength(1);
  });

  it('at most as many reported services as an identity may have leases', async () => {
    const at = await relay({ limits: { maxLeasesPerIdentity: 3 } });
    const identity = generateIdentity();
    const [one, other] = [await Peer.open(at, { identity }), await Peer.open(at, { identity })];
    const services = ['a', 'b', 'c', 'd'].map((service) => ({ service, phase: 'ready' }));
    await report(one, { services: services.slice(0, 2) });
    await report(other, { services });
    const token = await signIn(at, identity);
    const counts = async () => (await seen(at, token)).agents.map((agent) => agent.services.length);
    expect(await counts()).toEqual([2, 1]);
    // A removed service makes room.
    one.ws.terminate();
    await settled(() => at.counts().sessions === 1);
    await report(other, { services });
    expect(await counts()).toEqual([3]);
  });

  it('an agent that reports nothing: what the relay knows itself', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('web');
    const [agent] = (await seen(at, await signIn(at, peer.identity))).agents;
    expect(agent).not.toHaveProperty('machine');
    expect(agent!.services).toMatchObject([{ name: 'web', phase: 'open' }]);
    expect(agent!.services[0]).not.toHaveProperty('service');
  });

  it('an agent that is reconnecting, then disconnected, with its last time; nothing without a machine', async () => {
    const at = await relay({ limits: { graceMs: 300 } });
    const identity = generateIdentity();
    const named = await Peer.open(at, { identity });
    await report(named, { machine: 'laptop' });
    await named.lease('web');
    const nameless = await Peer.open(at, { identity });
    await nameless.lease('other');
    const token = await signIn(at, identity);
    for (const peer of [named, nameless]) peer.ws.terminate();
    await settled(() => at.counts().sessions === 0);
    const reconnecting = await seen(at, token);
    expect(reconnecting.agents.filter(({ state }) => state === 'reconnecting')).toMatchObject([
      { machine: 'laptop', services: [{ name: 'web', phase: 'reconnecting' }] },
      { services: [{ name: 'other', phase: 'reconnecting' }] },
    ]);
    expect(reconnecting.names.map(({ name, use }) => [name, use])).toEqual([
      ['other', 'reconnecting'],
      ['web', 'reconnecting'],
    ]);
    await settled(() => at.counts().leases === 0);
    const { agents, names } = await seen(at, token);
    expect(agents).toMatchObject([{ machine: 'laptop', state: 'disconnected', own: true, services: [] }]);
    expect(agents[0]).not.toHaveProperty('id');
    expect(names.map(({ use }) => use)).toEqual(['free', 'free']);
  });

  it('traffic of a UDP lease, and its number of visitors', async () => {
    const at = await relay({ ports: { udp: 'any' } });
    const peer = await Peer.open(at);
    const { udpAddr } = await peer.lease('dns', { mode: 'udp' });
    const token = await signIn(at, peer.identity);
    const opened = await peer.request({ type: 'datagrams.open', carrier: 'udp' });
    expect(opened.type).toBe('datagrams.opened');
    const visitor = await udpVisitor(Number(udpAddr!.split(':')[1]));
    visitor.send('12345');
    await settled(() => at.counts().flows === 1);
    expect((await seen(at, token)).agents[0]!.services[0]).toMatchObject({
      kind: 'udp',
      visitors: 1,
      bytesIn: 5,
      bytesOut: 0,
    });
  });
});

describe('an identity without access', () => {
  it('sees nothing, with any kind of request', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('mine');
    await report(peer, { machine: 'laptop' });
    const own = await seen(at, await signIn(at, peer.identity));
    const id = own.agents[0]!.id!;
    const other = generateIdentity();
    const token = await signIn(at, other);
    expect(await seen(at, token)).toMatchObject({ identity: other.address, agents: [], names: [] });
    // The response is the same as for an unknown id.
    const nothing = await ask(at, 'POST', '/v1/agents/000000000000/disconnect', { token });
    const guessed = await ask(at, 'POST', `/v1/agents/${id}/disconnect`, { token });
    expect([guessed.status, guessed.text]).toEqual([404, nothing.text]);
    const free = await ask(at, 'DELETE', '/v1/names/free', { token });
    const theirs = await ask(at, 'DELETE', '/v1/names/mine', { token });
    expect([theirs.status, theirs.text]).toEqual([404, free.text.replaceAll('free', 'mine')]);
    expect((await seen(at, await signIn(at, peer.identity))).agents).toHaveLength(1);
    expect(at.counts().leases).toBe(1);
  });

  it('is rejected without a token, and with a forged, foreign, expired or signed-out one', async () => {
    const at = await relay();
    const elsewhere = await relay();
    const peer = await Peer.open(at);
    const token = await signIn(at, peer.identity);
    const foreign = await signIn(elsewhere, peer.identity);
    const refused = [undefined, 'x', `${token}x`, `x${token.slice(1)}`, foreign];
    const paths = [
      ['GET', '/v1/agents'],
      ['POST', '/v1/agents/000000000000/disconnect'],
      ['DELETE', '/v1/names/web'],
      ['POST', '/v1/sign-in/link'],
      ['DELETE', '/v1/sign-in'],
    ] as const;
    for (const bad of refused)
      for (const [method, path] of paths) {
        const { status, body } = await ask(at, method, path, { ...(bad !== undefined && { token: bad }) });
        expect([method, path, status, body['code']]).toEqual([method, path, 401, 'unauthorized']);
      }
    expect((await ask(at, 'GET', '/v1/agents', { token })).status).toBe(200);
    const brief = await relay({ limits: { signedInMs: 1 } });
    const over = await signIn(brief, peer.identity);
    expect((await ask(brief, 'GET', '/v1/agents', { token: over })).status).toBe(401);
    const again = await signIn(at, peer.identity);
    expect((await ask(at, 'DELETE', '/v1/sign-in', { token: again })).status).toBe(200);
    expect((await ask(at, 'GET', '/v1/agents', { token: again })).status).toBe(401);
  });

  it('loses access immediately when the operator denies it', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const token = await signIn(at, identity);
    const { AddressSet } = await import('../../src/net/cidr.js');
    at.deny({ identities: new Set([identity.address]), addresses: new AddressSet([]) });
    expect((await ask(at, 'GET', '/v1/agents', { token })).status).toBe(401);
    await expect(signIn(at, identity)).rejects.toThrow('401');
  });

  it('as a team member sees only the agents that name it, and only while they do', async () => {
    const at = await relay();
    const owner = generateIdentity();
    const member = generateIdentity();
    const shared = await Peer.open(at, { identity: owner });
    const secret = await Peer.open(at, { identity: owner });
    await shared.lease('shared');
    await secret.lease('secret');
    await report(shared, { machine: 'build', team: [member.address.toLowerCase()] });
    await report(secret, { machine: 'vault' });
    const token = await signIn(at, member);
    const answer = await seen(at, token);
    expect(answer.names).toEqual([]);
    expect(answer.agents).toMatchObject([
      { identity: owner.address, own: false, machine: 'build', services: [{ name: 'shared' }] },
    ]);
    expect(answer.agents[0]).not.toHaveProperty('from');
    const text = JSON.stringify(answer);
    expect(text).not.toContain('secret');
    expect(text).not.toContain('vault');
    // Members can only view. Only the owner can act.
    const { id } = answer.agents[0]!;
    expect((await ask(at, 'POST', `/v1/agents/${id}/disconnect`, { token })).status).toBe(404);
    expect((await ask(at, 'DELETE', '/v1/names/shared', { token })).status).toBe(404);
    expect(at.counts().sessions).toBe(2);
    await report(shared, { team: [] });
    expect((await seen(at, token)).agents).toEqual([]);
    await report(shared, { team: [member.address] });
    expect((await seen(at, token)).agents).toHaveLength(1);
    // A disconnected agent cannot report its current team.
    shared.ws.terminate();
    await settled(() => at.counts().sessions === 1);
    expect((await seen(at, token)).agents).toEqual([]);
  });
});

describe('signing in', () => {
  it('needs a separate proof: a session’s proof does not work here, nor this one there', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const over = oneConnection();
    const { message, nonce } = await challenge(at, identity.address, over);
    expect(message).toContain(STATEMENTS.signIn);
    const peer = await Peer.connect(at, { identity });
    const control = await peer.challenge();
    const { status } = await ask(at, 'POST', '/v1/sign-in', {
      body: { nonce, signature: identity.sign(control) },
      over,
    });
    expect(status).toBe(401);
    peer.say({ type: 'prove', signature: identity.sign(message) });
    expect(await peer.next('error')).toMatchObject({ code: 'unauthorized' });
    expect(at.stats().signInsRefused).toEqual({ unauthorized: 1 });
  });

  it('allows one attempt per challenge, before it expires', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const over = oneConnection();
    const first = await challenge(at, identity.address, over);
    const prove = (nonce: string, signature: string, where = at) =>
      ask(where, 'POST', '/v1/sign-in', { body: { nonce, signature }, over });
    const stranger = generateIdentity();
    expect((await prove(first.nonce, stranger.sign(first.message))).status).toBe(401);
    const again = await prove(first.nonce, identity.sign(first.message));
    expect([again.status, again.body['code']]).toEqual([401, 'expired']);
    const brief = await relay({ limits: { challengeMs: 1 } });
    const late = await challenge(brief, identity.address, over);
    expect((await prove(late.nonce, identity.sign(late.message), brief)).body['code']).toBe('expired');
    expect((await prove('never', '0x')).body['code']).toBe('expired');
  });

  it('accepts the proof only on the connection that the challenge came from', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const { nonce, message } = await challenge(at, identity.address, oneConnection());
    const body = { nonce, signature: identity.sign(message) };
    const { status, text } = await ask(at, 'POST', '/v1/sign-in', { body, over: oneConnection() });
    expect([status, text]).toEqual([401, expect.stringContaining('over the same connection')]);
  });

  it('issues no challenge without a nonce for the relay’s own proof', async () => {
    const at = await relay();
    const { address } = generateIdentity();
    for (const relayNonce of [undefined, '', 'x', 'AB'.repeat(16), 'ab'.repeat(17)]) {
      const requested = await ask(at, 'POST', '/v1/sign-in/challenge', { body: { address, relayNonce } });
      expect([requested.status, requested.body['code']]).toEqual([400, 'protocol']);
    }
  });

  it('limits pending sign-ins, half of them from one address', async () => {
    const at = await relay({ limits: { maxSignIns: 4 } });
    const { address } = generateIdentity();
    await challenge(at, address);
    await challenge(at, address);
    const { status, headers, body } = await ask(at, 'POST', '/v1/sign-in/challenge', {
      body: { address, relayNonce: 'ab'.repeat(16) },
    });
    expect([status, body['code'], headers['retry-after']]).toEqual([
      503,
      'relay_busy',
      String(LIMITS.handshakeShareMs / 1000),
    ]);
    expect(at.counts().refused).toEqual({ maxSignIns: 1 });
  });

  it('limits tokens, for one identity and in total, and removes the longest idle one', async () => {
    const at = await relay({ limits: { maxSignedIn: LIMITS.maxSignedInPerIdentity + 1 } });
    const identity = generateIdentity();
    const tokens: string[] = [];
    for (let count = 0; count <= LIMITS.maxSignedInPerIdentity; count++)
      tokens.push(await signIn(at, identity));
    const status = async (token: string) => (await ask(at, 'GET', '/v1/agents', { token })).status;
    expect(await status(tokens[0]!)).toBe(401);
    expect(await status(tokens[1]!)).toBe(200);
    await signIn(at, generateIdentity());
    await signIn(at, generateIdentity());
    expect(await status(tokens[2]!)).toBe(401);
    expect(await status(tokens[1]!)).toBe(200);
  });

  it('makes a client wait that asks too often', async () => {
    const at = await relay({ limits: { maxSignedInRequestsPerSecondPerIdentity: 2 } });
    const token = await signIn(at, generateIdentity());
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => ask(at, 'GET', '/v1/agents', { token })),
    );
    expect(answers.map(({ status }) => status)).toContain(429);
    expect(at.counts().refused.maxSignedInRequestsPerSecondPerIdentity).toBeGreaterThan(0);
  });
});

describe('a page', () => {
  it('gets a cookie that scripts cannot read, for a code that is valid once and briefly', async () => {
    const agents = { webDir: import.meta.dirname };
    const at = await relay({ agents });
    const identity = generateIdentity();
    const token = await signIn(at, identity);
    const link = await ask(at, 'POST', '/v1/sign-in/link', { token });
    const url = new URL(link.body['url'] as string);
    expect(url.href).toMatch(/^https:\/\/localhost:\d+\/agents#[\w-]{43}$/);
    const redeem = () =>
      ask(at, 'POST', '/v1/sign-in/code', { headers: fromPage(at), body: { code: url.hash.slice(1) } });
    const { status, headers, text } = await redeem();
    expect(status).toBe(200);
    const [cookie] = headers['set-cookie']!;
    expect(cookie).toMatch(
      /^__Host-portal=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=3[56]\d\d$/,
    );
    expect(text).not.toContain(cookie!.split(/[=;]/)[1]);
    expect((await redeem()).body['code']).toBe('expired');
    const brief = await relay({ agents, limits: { signInCodeMs: 1 } });
    const late = await ask(brief, 'POST', '/v1/sign-in/link', { token: await signIn(brief, identity) });
    const code = new URL(late.body['url'] as string).hash.slice(1);
    const tooLate = await ask(brief, 'POST', '/v1/sign-in/code', {
      headers: fromPage(brief),
      body: { code },
    });
    expect([tooLate.status, tooLate.body['code']]).toEqual([401, 'expired']);
  });

  it('is accepted only from its own origin: tenants’ hostnames are the same site', async () => {
    const at = await relay({ agents: { webDir: import.meta.dirname } });
    const peer = await Peer.open(at);
    await peer.lease('evil');
    const cookie = await cookieOf(at, await signIn(at, peer.identity));
    const id = (await ask(at, 'GET', '/v1/agents', { headers: { cookie } })).body['agents'] as [
      { id: string },
    ];
    const disconnect = (headers: Record<string, string>) =>
      ask(at, 'POST', `/v1/agents/${id[0].id}/disconnect`, { headers: { cookie, ...headers } });
    const evil = `https://evil.localhost:${at.port}`;
    expect((await disconnect({ origin: evil })).status).toBe(403);
    expect((await disconnect({ origin: 'null' })).status).toBe(403);
    expect((await disconnect({})).status).toBe(403);
    expect((await disconnect({ origin: at.url, 'sec-fetch-site': 'same-site' })).status).toBe(403);
    const read = await ask(at, 'GET', '/v1/agents', { headers: { cookie, 'sec-fetch-site': 'same-site' } });
    expect(read.status).toBe(403);
    // A page cannot gain more rights, and a code cannot be used from another site.
    expect((await ask(at, 'POST', '/v1/sign-in/link', { headers: { cookie, ...fromPage(at) } })).status).toBe(
      403,
    );
    expect((await ask(at, 'POST', '/v1/sign-in/code', { body: { code: 'x' } })).status).toBe(403);
    expect(at.counts().sessions).toBe(1);
    expect((await disconnect(fromPage(at))).status).toBe(200);
    await settled(() => at.counts().sessions === 0);
  });

  it('and the API return nothing under another host, and reject other methods', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('web');
    const token = await signIn(at, peer.identity);
    for (const host of ['web.localhost', `web.localhost:${at.port}`, 'evil.example', '127.0.0.1'])
      expect((await ask(at, 'GET', '/v1/agents', { token, headers: { host } })).status).toBe(421);
    const { headers } = await ask(at, 'GET', '/v1/agents', { token });
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
    });
    expect(headers['content-security-policy']).not.toContain('unsafe');
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect((await ask(at, 'OPTIONS', '/v1/agents')).status).toBe(405);
    expect((await ask(at, 'PUT', '/v1/names/web', { token })).headers['allow']).toBe('DELETE');
    const sign = (body: object | string, more: Record<string, string> = {}) =>
      ask(at, 'POST', '/v1/sign-in/challenge', { body, headers: more });
    expect((await sign({ address: 'x' }, { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await sign('{')).status).toBe(400);
    expect((await sign('[]')).status).toBe(400);
    expect((await sign({})).status).toBe(400);
    expect((await sign({ address: 7 })).status).toBe(400);
    expect((await sign({ address: 'x', relayNonce: 'ab'.repeat(16) })).status).toBe(401);
    expect((await sign('x'.repeat(5_000))).status).toBe(413);
    expect((await ask(at, 'GET', '/v1/agents/../agents', { token })).status).toBe(404);
    expect((await ask(at, 'GET', '/v1/names/a%2fb', { token })).status).toBe(404);
  });

  it('is off if the operator disables it', async () => {
    const at = await relay({ agents: false });
    expect(at.descriptor.capabilities).not.toContain('agents');
    expect((await ask(at, 'POST', '/v1/sign-in/challenge', { body: {} })).status).toBe(405);
    expect((await ask(at, 'GET', '/v1/agents')).status).toBe(404);
    expect((await ask(at, 'GET', '/agents')).status).toBe(404);
  });
});

describe('disconnecting an agent', () => {
  it('ends its session, its leases without grace, and its visitors, and rejects that process', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const peer = await Peer.open(at, { identity });
    const other = await Peer.open(at, { identity });
    await other.lease('stays');
    peer.answerDials();
    const { hostname } = await peer.lease('web');
    const visitor = await sendHello(at, hostname);
    await peer.visited();
    const token = await signIn(at, identity);
    const { names } = await seen(at, token);
    const id = names.find(({ name }) => name === 'web')!.agent!;
    expect((await ask(at, 'POST', `/v1/agents/${id}/disconnect`, { token })).status).toBe(200);
    expect(await peer.next('error')).toMatchObject({
      code: 'disconnected',
      message: expect.stringMatching(/signed in from 127\.0\.0\.1 at 2.*restart the agent/),
    });
    expect(await peer.closed).toMatchObject({ code: 1008, reason: 'disconnected' });
    await visitor.closed;
    expect(at.counts()).toMatchObject({ sessions: 1, leases: 1 });
    // The name still belongs to its identity.
    expect((await seen(at, token)).names).toMatchObject([
      { name: 'stays', use: 'served' },
      { name: 'web', use: 'free' },
    ]);
    const again = await Peer.connect(at, { identity, instance: peer.instance });
    again.say({ type: 'prove', signature: identity.sign(await again.challenge()) });
    expect(await again.next('error')).toMatchObject({ code: 'disconnected' });
    // A restarted agent is a new process.
    const fresh = await Peer.open(at, { identity });
    await fresh.lease('web');
    // Another identity with the same instance is unaffected.
    await Peer.open(at, { instance: peer.instance });
  });

  it('also keeps a reconnecting agent from returning', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('web');
    const token = await signIn(at, peer.identity);
    peer.ws.terminate();
    await once(peer.ws, 'close');
    await settled(() => at.counts().sessions === 0);
    const { id } = (await seen(at, token)).agents[0]!;
    expect((await ask(at, 'POST', `/v1/agents/${id}/disconnect`, { token })).status).toBe(200);
    expect(at.counts().leases).toBe(0);
    await expect(Peer.open(at, { identity: peer.identity, instance: peer.instance })).rejects.toThrow(
      'disconnected',
    );
  });
});

describe('releasing a name', () => {
  it('is rejected while an agent serves it; then anyone may take it and its port', async () => {
    const at = await relay({ ports: { tcp: 'any' } });
    const peer = await Peer.open(at);
    const { lease, tcpAddr } = await peer.lease('db', { mode: 'tcp', carrier: 'tls' });
    const token = await signIn(at, peer.identity);
    const release = () => ask(at, 'DELETE', '/v1/names/db', { token });
    const refused = await release();
    expect([refused.status, refused.body['code']]).toEqual([409, 'name_in_use']);
    await peer.request({ type: 'lease.close', lease });
    const port = Number(tcpAddr!.split(':')[1]);
    expect((await seen(at, token)).names).toMatchObject([{ name: 'db', ports: { tcp: port }, use: 'free' }]);
    expect((await release()).status).toBe(200);
    expect((await seen(at, token)).names).toEqual([]);
    expect((await release()).status).toBe(404);
    const other = await Peer.open(at);
    await other.lease('db', { mode: 'tcp', carrier: 'tls' });
  });

  it('ends a lease in its grace period', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('web');
    const token = await signIn(at, peer.identity);
    peer.ws.terminate();
    await settled(() => at.counts().sessions === 0);
    expect((await ask(at, 'DELETE', '/v1/names/web', { token })).status).toBe(200);
    expect(at.counts().leases).toBe(0);
    await (await Peer.open(at)).lease('web');
  });
});

it('ends the connection of a sign-in beyond the rate, so that the next one gets a turn', async () => {
  const at = await relay({ limits: { maxSignInsPerSecondPerAddress: 1 } });
  const body = JSON.stringify({ address: generateIdentity().address, relayNonce: 'ab'.repeat(16) });
  const head = [
    'POST /v1/sign-in/challenge HTTP/1.1',
    `Host: ${new URL(at.url).host}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  ].join('\r\n');
  const connection = await tls(at);
  for (let count = 0; count < 4; count++) connection.socket.write(`${head}\r\n\r\n${body}`);
  const { received } = await connection.closed;
  expect(received.toString()).toMatch(/^HTTP\/1\.1 200 [^]*HTTP\/1\.1 429 [^]*connection: close/i);
});
