import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AccessSpec, Carrier, ServiceSpec } from '../../src/agent/spec.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { readLine } from '../../src/net/read-line.js';
import { channelOf } from '../../src/protocol/channel.js';
import { agentLine, provenAgent, visitorLine } from '../../src/protocol/connect.js';
import { chain } from '../support/chain.js';
import { connectTo, rawSession } from '../support/private.js';
import { eavesdropper } from '../support/terminating-relay.js';
import {
  agent,
  desired,
  get,
  handedOver,
  httpService,
  readAll,
  relay,
  service,
  tcpService,
  visit,
} from '../support/world.js';

/** Private access: services that only listed identities reach, with `portal connect`. */

const FRIEND = generateIdentity();
const STRANGER = generateIdentity();
const HOST = 'db.localhost';

/** A service that greets, then returns what it gets. */
const echo = () =>
  tcpService((socket) => {
    socket.write('220 ready\n');
    socket.pipe(socket);
  });

async function published(
  over: Partial<ServiceSpec> = {},
  { identities = [FRIEND.address], target }: { identities?: readonly string[]; target?: number } = {},
) {
  const at = await relay();
  const one = await agent();
  const spec = service('db', target ?? (await echo()), { access: { identities }, alpn: 'auto', ...over });
  await one.runner.apply(desired([at.spec], spec));
  await one.event('lease', ({ phase }) => phase === 'ready');
  const owner = one.identity.address;
  return {
    ...one,
    at,
    owner,
    as: (identity = FRIEND) => connectTo(at, HOST, identity, owner),
    change: (access: AccessSpec) => one.runner.apply(desired([at.spec], { ...spec, access })),
  };
}

/** Resolves when `socket` closes, by a reset or not. */
const closed = (socket: TLSSocket): Promise<void> =>
  new Promise((resolve) => {
    socket.removeAllListeners('error').on('error', () => undefined);
    socket.resume().once('close', () => resolve());
  });

async function exchange(socket: TLSSocket, text = 'hello'): Promise<string> {
  socket.end(text);
  return (await readAll(socket)).toString();
}

describe('portal connect', () => {
  it.each<[Carrier, Partial<ServiceSpec>]>([
    ['raw', { mode: 'stream' }],
    ['tls', { mode: 'stream' }],
    ['ws', { mode: 'stream' }],
    ['raw', { mode: 'auto' }],
  ])('reaches the target of a listed identity over carrier %s, %j', async (carrier, over) => {
    const one = await published({ carrier, ...over });
    expect(await exchange(await one.as())).toBe('220 ready\nhello');
    const long = 'x'.repeat(1_000_000);
    expect(await exchange(await one.as(), long)).toBe(`220 ready\n${long}`);
    // The owner may always connect.
    expect(await exchange(await one.as(one.identity))).toBe('220 ready\nhello');
  });

  it.each([2, 3])('works over a chain of %d relays', async (length) => {
    const { entry, spec } = await chain(length);
    const one = await agent();
    const over = { access: { identities: [FRIEND.address] }, carrier: 'tls' } as const;
    await one.runner.apply(desired([spec], service('db', await echo(), over)));
    await one.event('lease', ({ phase }) => phase === 'ready');
    expect(await exchange(await connectTo(entry, HOST, FRIEND, one.identity.address))).toBe(
      '220 ready\nhello',
    );
  });

  it('sends bytes that arrive with the proof to the target', async () => {
    const one = await published();
    const socket = await rawSession(one.at, HOST);
    await readLine(socket, 256);
    const at = { hostname: HOST, channel: channelOf(socket)!, agent: one.owner };
    socket.write(`${visitorLine(FRIEND, 'connect', at)}\nearly`);
    expect(await readLine(socket, 256)).toBe('ok');
    expect(await exchange(socket, ' and late')).toBe('220 ready\nearly and late');
  });

  it('only asks whether it may connect with `check`, and reaches no target', async () => {
    const reached: string[] = [];
    const target = await tcpService(() => reached.push('reached'));
    const one = await published({}, { target });
    const socket = await rawSession(one.at, HOST);
    await readLine(socket, 256);
    const at = { hostname: HOST, channel: channelOf(socket)!, agent: one.owner };
    socket.write(`${visitorLine(FRIEND, 'check', at)}\n`);
    expect((await readAll(socket)).toString()).toBe('ok\n');
    expect(reached).toEqual([]);
  });
});

describe.each(['auto', 'http'] as const)('a web app behind `portal connect` in mode %s', (mode) => {
  async function app() {
    const seen: string[] = [];
    const { port } = await httpService((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end([request.headers.host, request.headers['x-forwarded-proto']].join(' '));
    });
    const one = await published({ mode }, { target: port });
    const ask = async (head: string, fields: Record<string, string> = {}): Promise<string> => {
      const socket = await one.as();
      const all = { Host: '127.0.0.1:5000', Connection: 'close', ...fields };
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`${head} HTTP/1.1\r\n${lines.join('')}\r\n`);
      return (await readAll(socket)).toString();
    };
    return { one, seen, ask };
  }

  it('is for programs and pages of this machine', async () => {
    const { ask, seen } = await app();
    expect(await ask('GET /')).toMatch(/^HTTP\/1\.1 200 [^]*127\.0\.0\.1:5000 https/);
    const allowed: Record<string, string>[] = [
      { Host: 'localhost' },
      { Host: '[::1]:5000' },
      { Origin: 'http://127.0.0.1:5000', 'Sec-Fetch-Site': 'same-origin' },
      // A development server forwards requests of its page.
      { Origin: 'http://localhost:5173', 'Sec-Fetch-Site': 'same-origin' },
      // An old browser.
      { Origin: 'http://127.0.0.1:5000' },
      { Host: 'app.localhost:5000', Origin: 'http://app.localhost:5000' },
      { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' },
      { 'Sec-Fetch-Site': 'none' },
    ];
    for (const fields of allowed)
      expect([fields, (await ask('POST /', fields)).slice(9, 12)]).toEqual([fields, '200']);
    expect(seen).toHaveLength(9);
  });

  it('gets no request of a page of another site', async () => {
    const { ask, seen } = await app();
    const webSocket = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' };
    for (const [head, fields] of [
      // A form, a script, an image, a link, a frame without an origin, and a WebSocket.
      ['POST /', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }],
      ['POST /', { Origin: 'https://evil.example' }],
      ['OPTIONS /', { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'PUT' }],
      ['GET /image', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }],
      ['GET /', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' }],
      ['POST /', { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' }],
      ['POST /', { Origin: 'null' }],
      ['GET /', { ...webSocket, Origin: 'https://evil.example', 'Sec-WebSocket-Key': 'x'.repeat(22) + '==' }],
      // Pages of another port, which may be another owner's service.
      ['POST /', { Origin: 'http://localhost:5001', 'Sec-Fetch-Site': 'same-site' }],
      ['POST /', { Origin: 'http://127.0.0.1:5001' }],
      ['GET /image', { 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'no-cors' }],
      [
        'GET /',
        { ...webSocket, Origin: 'http://localhost:5001', 'Sec-WebSocket-Key': 'x'.repeat(22) + '==' },
      ],
      // Names that only begin like one of this machine, and the name that the relay owns.
      ['POST /', { Origin: 'http://localhost.evil.example' }],
      ['POST /', { Origin: 'http://127.0.0.1.evil.example:5000' }],
      ['POST /', { Origin: 'http://localhost:5000@evil.example' }],
      ['POST /', { Origin: `https://${HOST}` }],
    ] as const) {
      const text = await ask(head, fields);
      expect([fields, text.slice(9, 12)]).toEqual([fields, '403']);
      expect(text).not.toMatch(/access-control-allow/i);
    }
    expect(seen).toEqual([]);
  });

  it('is not reached under another name that leads to this machine', async () => {
    const { ask, seen } = await app();
    // A relay owns the public name, and may let it lead to this machine.
    const PUBLIC = 'db.relay.example';
    for (const name of ['rebound.example', 'localhost.evil.example', 'localhost.', PUBLIC, `${PUBLIC}:5000`])
      expect([name, (await ask('GET /', { Host: name })).slice(9, 12)]).toEqual([name, '421']);
    expect(seen).toEqual([]);
  });

  it('shows people how to open it, in no frame of the other site', async () => {
    const { ask } = await app();
    const text = await ask('GET /', { 'Sec-Fetch-Site': 'cross-site', Accept: 'text/html' });
    expect(text).toContain('<a href="/">Open the service</a>');
    expect(text).toContain("frame-ancestors 'none'");
  });
});

it('a web app in mode auto gets no request of a page if another program was there before', async () => {
  const greeter = createServer((socket) => void socket.on('error', () => undefined).end('SSH-2.0-x\r\n'));
  await new Promise<void>((resolve) => greeter.listen(0, '127.0.0.1', resolve));
  const { port } = greeter.address() as AddressInfo;
  const one = await published({ mode: 'auto' }, { target: port });
  expect((await readAll(await one.as())).toString()).toBe('SSH-2.0-x\r\n');
  await new Promise((resolve) => greeter.close(resolve));
  const seen: (string | undefined)[] = [];
  const web = createHttp(({ url }, response) => {
    seen.push(url);
    response.end();
  });
  await new Promise<void>((resolve) => web.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => void web.close());
  const page = await one.as();
  page.write('POST /delete HTTP/1.1\r\nHost: localhost:5000\r\nOrigin: https://evil.example\r\n\r\n');
  const [answer] = (await once(page, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 403 /);
  expect(seen.filter((url) => url !== '*')).toEqual([]);
});

describe('a private service', () => {
  it('denies other identities, before the target sees a byte, and reports them', async () => {
    const reached: string[] = [];
    const target = await tcpService(() => reached.push('reached'));
    const one = await published({}, { target });
    await expect(one.as(STRANGER)).rejects.toMatchObject({
      code: 'connect_denied',
      message: expect.stringContaining(STRANGER.address) as string,
      hint: expect.stringContaining(`identities: ["${STRANGER.address}"]`) as string,
    });
    expect(reached).toEqual([]);
    expect(await one.event('refused')).toMatchObject({ service: 'db', reason: 'identity' });
    expect((await one.runner.status()).leases[0]!.refused).toEqual({ identity: 1 });
  });

  it('denies addresses that another gate rejects, whatever their identity', async () => {
    const one = await published({ access: { identities: [FRIEND.address], allowIps: ['192.0.2.1'] } });
    await expect(one.as()).rejects.toMatchObject({ code: 'connect_denied', message: /your address/ });
    expect(await one.event('refused')).toMatchObject({ reason: 'ip' });
  });

  it.each(['auto', 'stream', 'http'] as const)('shows others a page in mode %s', async (mode) => {
    const { port } = await httpService((_request, response) => response.end('the secret site'));
    const one = await published({ mode }, { target: port });
    const { status, text } = await get(one.at, HOST, one.ca);
    expect(status).toBe(403);
    expect(text).toContain('portal connect');
    expect(text).not.toContain('secret');
    // Without ALPN, and in another protocol.
    const socket = await visit(one.at, HOST, one.ca, { ALPNProtocols: undefined as never });
    socket.write('\0\0\0\x08\x04\xd2\x16\x2f');
    await closed(socket);
    const other = visit(one.at, HOST, one.ca, { ALPNProtocols: ['postgresql'] });
    await expect(other).rejects.toThrow(/alert number 120/);
  });

  it('is proven by the agent’s own visit, which is not rejected', async () => {
    const one = await published();
    await one.runner.prove();
    const [lease] = (await one.runner.status()).leases;
    expect(lease).toMatchObject({ phase: 'ready' });
    expect(lease!.provenAt).toBeDefined();
    expect(lease!.refused).toBeUndefined();
  });

  it('disconnects an identity that a save removes, and no other', async () => {
    const target = await handedOver();
    const other = generateIdentity();
    const one = await published({}, { target: target.port, identities: [FRIEND.address, other.address] });
    const [leaving, staying] = [await one.as(), await one.as(other)];
    await Promise.all([target.next(), target.next()]);
    const left = closed(leaving);
    await one.change({ identities: [other.address] });
    await left;
    expect(staying.destroyed).toBe(false);
    await expect(one.as()).rejects.toMatchObject({ code: 'connect_denied' });
    await one.change({});
    expect(staying.destroyed).toBe(false);
    await expect(one.as()).rejects.toMatchObject({ code: 'connect_unsupported' });
  });

  it('disconnects public visitors when it becomes private', async () => {
    const target = await handedOver();
    const one = await published({ access: {}, alpn: ['http/1.1'] }, { target: target.port });
    const visitor = await visit(one.at, HOST, one.ca);
    await target.next();
    const left = closed(visitor);
    await one.change({ identities: [FRIEND.address] });
    await left;
    expect((await get(one.at, HOST, one.ca)).status).toBe(403);
  });

  it('is reported as offline when the relay does not publish it', async () => {
    const one = await published();
    await expect(connectTo(one.at, 'other.localhost', FRIEND, one.owner)).rejects.toMatchObject({
      code: 'service_offline',
    });
  });
});

describe('a hostile relay', () => {
  it('that ends TLS with its own certificate is detected, and gets neither a proof nor bytes', async () => {
    const honest = await relay();
    const tap = await eavesdropper(HOST, () => honest.port);
    const one = await agent();
    const over = { access: { identities: [FRIEND.address] } };
    await one.runner.apply(desired([honest.spec], service('db', await echo(), over)));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const owner = one.identity.address;
    const socket = await connectTo(tap, HOST, FRIEND, owner);
    expect(await readLine(socket, 64)).toBe('220 ready');
    tap.terminate(await honest.ca.issue([HOST]));
    // The device does not speak the protocol, like one that does not know Portal.
    await expect(connectTo(tap, HOST, FRIEND, owner)).rejects.toMatchObject({ code: 'connect_unsupported' });
    tap.terminate(await honest.ca.issue([HOST]), 'portal-connect/1');
    await expect(connectTo(tap, HOST, FRIEND, owner)).rejects.toMatchObject({
      code: 'agent_untrusted',
      message: expect.stringContaining(owner) as string,
    });
    expect(tap.overheard()).toBe('');
  });

  it('that shows its own identity is not trusted, and learns no identity', async () => {
    const one = await published();
    const tap = await eavesdropper(HOST, () => one.at.port);
    const relays = generateIdentity();
    tap.terminate(await one.at.ca.issue([HOST]), 'portal-connect/1', (socket) =>
      socket.write(`${agentLine(relays, { hostname: HOST, channel: channelOf(socket)! })}\n`),
    );
    await expect(connectTo(tap, HOST, FRIEND, one.owner)).rejects.toThrow(`the agent is ${relays.address}`);
    expect(tap.overheard()).toBe('');
  });
});

describe('the handshake', () => {
  it('rejects a proof that was made for another connection, or another service', async () => {
    const one = await published();
    const other = await rawSession(one.at, HOST);
    for (const changed of [
      { channel: channelOf(other)! },
      { hostname: 'web.localhost' },
      { agent: STRANGER.address },
    ]) {
      const socket = await rawSession(one.at, HOST);
      await readLine(socket, 256);
      const proof = { hostname: HOST, channel: channelOf(socket)!, agent: one.owner, ...changed };
      socket.write(`${visitorLine(FRIEND, 'connect', proof)}\n`);
      expect(await readLine(socket, 256)).toBe('denied proof');
    }
    expect((await one.runner.status()).leases[0]!.refused).toEqual({ identity: 3 });
  });

  it('proves the agent again in each session', async () => {
    const one = await published();
    const [first, second] = [await rawSession(one.at, HOST), await rawSession(one.at, HOST)];
    const line = await readLine(first, 256);
    expect(provenAgent(line, { hostname: HOST, channel: channelOf(first)! })).toBe(one.owner);
    expect(() => provenAgent(line, { hostname: HOST, channel: channelOf(second)! })).toThrow(
      /does not end at/,
    );
  });

  it('needs TLS 1.3, whose exporter value no one can force on two sessions', async () => {
    const one = await published();
    const socket = await rawSession(one.at, HOST, 'TLSv1.2');
    expect(await readLine(socket, 256)).toBe('denied proof');
  });

  it.each([
    ['a line that never ends', 'x'.repeat(10_000)],
    ['a request', 'GET / HTTP/1.1\r\nHost: db.localhost\r\n\r\n'],
    ['an agent’s line', `${agentLine(FRIEND, { hostname: HOST, channel: 'ab'.repeat(32) })}\n`],
  ])('ends the connection after %s', async (_what, text) => {
    const one = await published();
    const socket = await rawSession(one.at, HOST);
    await readLine(socket, 256);
    socket.write(text);
    await closed(socket);
    // It still serves.
    expect(await exchange(await one.as())).toBe('220 ready\nhello');
  });
});
