import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { openControl } from '../../src/agent/session/connect.js';
import type { ControlChannel } from '../../src/agent/session/control.js';
import { showing } from '../../src/agent/data/show-ticket.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { resetSocket } from '../../src/net/splice/reset.js';
import { DATA_SUBPROTOCOL, LIMITS, PATHS } from '../../src/protocol/limits.js';
import type { FromRelay } from '../../src/protocol/messages.js';
import { newTicket } from '../../src/protocol/ticket.js';
import {
  agent,
  desired,
  get,
  handedOver,
  readAll,
  relay,
  service,
  tcpService,
  visit,
  type TestRelay,
} from '../support/world.js';
import { plainVisitor, receivedBy } from '../support/visitor.js';
import { shownOn, upgradeWith } from './relay-peer.js';

const LONG = 50_000_000;

async function published(target: number, over: Parameters<typeof service>[2] = {}) {
  const at = await relay({ ports: { tcp: 'any' } });
  const one = await agent();
  const spec = service('web', target, { carrier: 'ws', ...over });
  await one.runner.apply(desired([at.spec], spec));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = Number(tcpAddr?.split(':')[1]);
  return {
    at,
    ...one,
    spec,
    /** A visitor, in either mode. */
    arrive: (): Promise<Socket> =>
      over.mode === 'tcp'
        ? plainVisitor(port)
        : visit(at, 'web.localhost', one.ca, { allowHalfOpen: true } as never),
  };
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe.each(['stream', 'tcp'] as const)('mode %s over the ws carrier', (mode) => {
  it('transfers 50 MB in both directions at a time, unchanged', async () => {
    const [up, down] = [randomBytes(LONG), randomBytes(LONG)];
    let received = '';
    const target = await tcpService((socket) => {
      void receivedBy(socket).then((bytes) => (received = digest(bytes)));
      socket.end(down);
    });
    const { arrive } = await published(target, { mode });
    const visitor = await arrive();
    visitor.end(up);
    expect(digest(await receivedBy(visitor))).toBe(digest(down));
    await expect.poll(() => received).toBe(digest(up));
  });

  it('keeps the half-close of each side', async () => {
    const target = await tcpService((socket) => {
      let said = '';
      socket.on('data', (chunk: Buffer) => (said += String(chunk)));
      socket.once('end', () => socket.end(`you said ${said}`));
    });
    const { arrive } = await published(target, { mode });
    const visitor = await arrive();
    visitor.end('hello');
    expect(String(await receivedBy(visitor))).toBe('you said hello');
    const late = await tcpService((socket) => {
      socket.end('220 ready\r\n');
    });
    const other = await published(late, { mode });
    expect(String(await readAll(await other.arrive()))).toBe('220 ready\r\n');
  });

  it('forwards a reset in both directions', async () => {
    const { port, next } = await handedOver();
    const { arrive } = await published(port, { mode });
    const first = await arrive();
    first.write('x');
    // A reset before the agent has sent a byte would mean that the target is down, and start a check.
    const reached = await next();
    await once(reached, 'data');
    reached.resetAndDestroy();
    await expect(readAll(first)).rejects.toMatchObject({ code: 'ECONNRESET' });
    const second = await arrive();
    second.write('x');
    const served = await next();
    const seen = new Promise((resolve) => served.once('error', resolve));
    resetSocket(second);
    expect(await seen).toMatchObject({ code: 'ECONNRESET' });
  });

  it('transfers thousands of small messages, in order', async () => {
    const target = await tcpService((socket) => void socket.pipe(socket));
    const { arrive } = await published(target, { mode });
    const visitor = await arrive();
    const answers = receivedBy(visitor);
    let said = '';
    for (let each = 0; each < 5_000; each += 1) {
      const line = `line ${each}\n`;
      said += line;
      if (!visitor.write(line)) await new Promise((resolve) => visitor.once('drain', resolve));
      if (each % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    visitor.end();
    expect(String(await answers)).toBe(said);
  });

  it('pauses a sender whose reader does not read', async () => {
    const { port, next } = await handedOver();
    const { arrive } = await published(port, { mode });
    const visitor = await arrive();
    visitor.pause();
    visitor.write('x');
    const served = await next();
    let written = 0;
    let stuck = false;
    const chunk = Buffer.alloc(1024 * 1024);
    while (!stuck && written < 400) {
      const drained = new Promise<void>((resolve) => served.write(chunk, () => resolve()));
      written += 1;
      stuck = await Promise.race([
        drained.then(() => false),
        new Promise<boolean>((resolve) => setTimeout(resolve, 1_000, true)),
      ]);
    }
    expect(stuck).toBe(true);
    visitor.resume();
    let received = 0;
    visitor.on('data', (part: Buffer) => (received += part.length));
    await expect.poll(() => received).toBe(written * chunk.length);
  });
});

it('tells a visitor that the target is down', async () => {
  const { at, ca } = await published(1);
  expect((await get(at, 'web.localhost', ca)).status).toBe(503);
  const { arrive } = await published(1, { mode: 'tcp' });
  await expect(readAll(await arrive())).rejects.toMatchObject({ code: 'ECONNRESET' });
});

it('changes to ws and back in place, and visitors stay connected', async () => {
  const { port, next } = await handedOver();
  const { at, runner, spec, ca } = await published(port, { carrier: 'raw' });
  const early = await visit(at, 'web.localhost', ca);
  const served = await next();
  await runner.apply(desired([at.spec], { ...spec, carrier: 'ws' }));
  const late = await visit(at, 'web.localhost', ca);
  const later = await next();
  for (const [visitor, source] of [
    [early, served],
    [late, later],
  ] as const) {
    source.write('hello');
    expect(String(await new Promise((resolve) => visitor.once('data', resolve)))).toBe('hello');
  }
});

// --- a client that has a ticket, and violates the protocol

interface Holder {
  at: TestRelay;
  channel: ControlChannel;
  ticket(): Promise<string>;
}

/** An identity with a lease over ws that connects by hand. */
async function holder(mode: 'tcp' | 'stream' = 'tcp'): Promise<Holder> {
  const at = await relay({ ports: { tcp: 'any' }, limits: { visitorWaitMs: 5_000 } });
  const channel = await openControl({
    endpoint: { url: at.url, ca: at.ca.certificatePem },
    identity: generateIdentity(),
    instance: 'test',
    version: 'test',
    signal: AbortSignal.timeout(20_000),
  });
  onTestFinished(() => channel.close());
  const tickets: string[] = [];
  const waiting: ((ticket: string) => void)[] = [];
  channel.on('dial', ({ carrier, tickets: issued }: FromRelay<'dial'>) => {
    expect(carrier).toBe('ws');
    for (const { ticket } of issued) {
      const next = waiting.shift();
      if (next) next(ticket);
      else tickets.push(ticket);
    }
  });
  await channel.request({ type: 'lease.open', name: 'web', mode, carrier: 'ws', metadata: {} });
  return {
    at,
    channel,
    ticket: () => {
      const ticket = tickets.shift();
      return ticket ? Promise.resolve(ticket) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

function dial({ at }: Holder, ticket: string | undefined, subprotocols = [DATA_SUBPROTOCOL]) {
  const url = new URL(PATHS.data, at.url);
  url.protocol = 'wss:';
  const ws = new WebSocket(url, subprotocols, {
    ca: at.ca.certificatePem,
    ...(ticket !== undefined && { finishRequest: showing(at.url, ticket) }),
  });
  onTestFinished(() => ws.terminate());
  const opened = new Promise<number>((resolve, reject) => {
    ws.once('open', () => resolve(101));
    ws.once('unexpected-response', (_request, { statusCode }) => resolve(statusCode ?? 0));
    ws.once('error', reject);
  });
  const closed = new Promise<number>((resolve) => ws.once('close', resolve));
  return { ws, opened, closed };
}

describe('a peer that presents a ticket to the relay', () => {
  it('is accepted once, and rejected without a valid ticket', async () => {
    const held = await holder();
    const ticket = await held.ticket();
    expect(await dial(held, ticket).opened).toBe(101);
    expect(await dial(held, ticket).opened).toBe(403);
    expect(await dial(held, newTicket()).opened).toBe(403);
    expect(await dial(held, undefined).opened).toBe(400);
    expect(await dial(held, await held.ticket(), ['portal.other.1']).opened.catch(() => 400)).toBe(400);
  });

  it('is rejected with a ticket of ws on the tls carrier', async () => {
    const held = await holder();
    const ticket = await held.ticket();
    const socket = connectTls({
      host: '127.0.0.1',
      port: held.at.port,
      servername: 'localhost',
      ca: held.at.ca.certificatePem,
    });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'secureConnect');
    socket.write(upgradeWith(ticket, socket));
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 403 /);
    expect(await dial(held, ticket).opened).toBe(101);
  });

  it('is rejected when it sends before it may', async () => {
    const held = await holder();
    const ticket = await held.ticket();
    const socket = connectTls({
      host: '127.0.0.1',
      port: held.at.port,
      servername: 'localhost',
      ca: held.at.ca.certificatePem,
    });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'secureConnect');
    const frame = Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0x41]);
    const head = `GET ${PATHS.data} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${DATA_SUBPROTOCOL}\r\nAuthorization: ${shownOn(socket, ticket)}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), frame]));
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 400 /);
  });

  it.each([
    ['sends something while it is idle', (ws: WebSocket) => ws.send(Buffer.from('x'))],
    ['sends text', (ws: WebSocket) => ws.send('text')],
    ['ends immediately', (ws: WebSocket) => ws.send(Buffer.alloc(0))],
    [
      'sends a message that is too long',
      (ws: WebSocket) => ws.send(Buffer.alloc(LIMITS.maxDataMessageBytes + 1)),
    ],
    ['sends after its end', (ws: WebSocket) => (ws.send(Buffer.alloc(0)), ws.send(Buffer.from('x')))],
  ])('is dropped when it %s', async (_what, act) => {
    const held = await holder();
    const { ws, opened, closed } = dial(held, await held.ticket());
    expect(await opened).toBe(101);
    ws.on('error', () => undefined);
    act(ws);
    expect(await closed).not.toBe(1000);
    // The relay keeps running, and requests another connection.
    expect(await dial(held, await held.ticket()).opened).toBe(101);
  });

  it('receives certificate challenges as well, because the WebSocket hides them', async () => {
    const held = await holder('stream');
    const { ws, opened } = dial(held, await held.ticket());
    await opened;
    const started = new Promise<Buffer>((resolve) => ws.once('message', resolve));
    const visitor = connectTls({
      host: '127.0.0.1',
      port: held.at.port,
      servername: 'web.localhost',
      ALPNProtocols: ['acme-tls/1'],
    });
    onTestFinished(() => void visitor.destroy());
    visitor.on('error', () => undefined);
    const said = await started;
    // The start byte, and a TLS handshake record that names the challenge.
    expect([...said.subarray(0, 2)]).toEqual([1, 22]);
    expect(said.includes('acme-tls/1')).toBe(true);
  });

  it('responds to pings immediately, so that a flood of them cannot block it', async () => {
    const held = await holder();
    const { ws, opened } = dial(held, await held.ticket());
    await opened;
    const pong = new Promise((resolve) => ws.once('pong', resolve));
    ws.ping('are you there');
    expect(String(await pong)).toBe('are you there');
  });
});
