import { once } from 'node:events';
import { connect as connectH2, createSecureServer, type Http2ServerRequest } from 'node:http2';
import { join } from 'node:path';
import { request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, onTestFinished, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { ShareStore } from '../../src/agent/access/share/store.js';
import type { RequestRow } from '../../src/agent/inspect/wire.js';
import type { AccessSpec, Mode, RelaySpec } from '../../src/agent/spec.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { parseTarget } from '../../src/net/target/target.js';
import { chainTo } from '../support/chain.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/folder.js';
import { inspectorOf } from '../support/inspector.js';
import { connectTo } from '../support/private.js';
import { wire } from '../support/wire.js';
import { agent, desired, relay, service, type TestAgent } from '../support/world.js';

/** A service with gates whose relay is watched, and visitors of each kind. */

/** What a visitor adds to its requests. */
export interface Visitor {
  /** A loopback address. */
  readonly from: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `served`: the service responded. Otherwise the status of Portal's response. */
export type Outcome = 'served' | number;

export const TRANSPORTS = ['HTTP/1.1', 'HTTP/2', 'WebSocket', 'CORS preflight'] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** How a service is published. */
export interface Way {
  readonly name: string;
  readonly mode: Mode;
  readonly relays: number;
}

export interface Site {
  readonly one: TestAgent;
  /** Sends a request, whose path is the kind of visit. */
  readonly visit: (transport: Transport, visitor: Visitor) => Promise<Outcome>;
  /** Sends a request as the owner, through `portal connect`. */
  readonly connect: () => Promise<Outcome>;
  /** Sends a request over HTTP/1.1. Resolves with the response, whose body nobody reads. */
  readonly send: (visitor: Visitor, options: RequestOptions, body?: string) => Promise<IncomingMessage>;
  /** The path and query of a new share link. */
  readonly share: (path: string) => Promise<string>;
  /** Everything that the service received since the last call: paths, fields and bodies. */
  readonly received: () => string;
  /** Resolves once the inspector lists a rejected visit of each kind with its gate. Not in mode stream, which has no inspector. */
  readonly listsRejected: (by: { readonly reason: string; readonly status: number }) => Promise<void>;
  /** Every byte to and from the first relay, and every control message in the clear. */
  readonly seenByRelays: () => { readonly bytes: Buffer; readonly messages: string };
}

const PATHS = ['/visit-h1', '/visit-h2', '/visit-ws', '/visit-cors'];
export const HOST = 'app.localhost';
const LINK_MS = 3_600_000;
const HELLO = 'hello from the service';
/** As browsers send it before a request with a header of its own. */
const PREFLIGHT = {
  Origin: 'https://other.example',
  'Access-Control-Request-Method': 'PUT',
  'Access-Control-Request-Headers': 'authorization',
} as const;

export async function siteOf(access: AccessSpec, way: Way): Promise<Site> {
  const recorded: Buffer[] = [];
  const send = vi.spyOn(WebSocket.prototype, 'send');
  onTestFinished(() => send.mockRestore());
  let port = 0;
  const between = await wire(
    () => port,
    (bytes) => recorded.push(bytes),
  );
  const entry = await relay({ publicPort: between.port });
  port = entry.port;
  const on: RelaySpec = way.relays > 1 ? (await chainTo(entry, way.relays)).spec : entry.spec;
  const target = await recordingService();
  const shareStore = new ShareStore(join(await temporaryFolder(), 'identity.json'));
  const one = await agent({ inspector: true, shareStore });
  const to = parseTarget(`https://127.0.0.1:${target.port}`);
  const route = { prefix: '/', target: to, stripPrefix: true, headers: {}, responseHeaders: {} };
  const spec = service('app', target.port, {
    mode: way.mode,
    target: to,
    routes: way.mode === 'http' ? [route] : [],
    alpn: 'auto',
    access,
    carrier: way.relays > 1 ? 'tls' : 'raw',
    ...(way.mode === 'http' && { inspect: { mask: [] } }),
  });
  await one.runner.apply({ ...desired([on], spec), relays: [] });
  await one.event('lease', ({ phase }) => phase === 'ready');
  const at = { one, port: between.port };
  const rows = way.mode === 'http' ? (await inspectorOf(one)).rows : undefined;
  return {
    one,
    visit: (transport, visitor) => VISITS[transport](at, visitor),
    connect: async () => {
      const socket = await connectTo(at, HOST, one.identity, one.identity.address);
      socket.write(`GET /visit-connect HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      const [head = '', body = ''] = (await textOf(socket)).split('\r\n\r\n');
      return outcomeOf(Number(head.slice(9, 12)), body.includes(HELLO) ? HELLO : body);
    },
    send: async (visitor, options, body) => (await responseTo(at, visitor, options, body)).resume(),
    share: async (path) => {
      const until = Date.now() + LINK_MS;
      const { links } = await one.runner.sharing!.share({ service: 'app', path, until });
      const url = new URL(links[0]!);
      return url.pathname + url.search;
    },
    received: target.received,
    listsRejected: async ({ reason, status }) => {
      if (!rows) return;
      const of = ({ portal, ...row }: RequestRow): boolean =>
        row.status === status && portal?.gate === reason;
      const listed = (): string[] => [...rows.values()].filter(of).map(({ target: path }) => path);
      await eventually(() => expect(listed()).toEqual(expect.arrayContaining(PATHS)));
    },
    seenByRelays: () => ({
      bytes: Buffer.concat(recorded),
      messages: send.mock.calls
        // The inspector's page is on the agent's machine.
        .filter((_, i) => (send.mock.contexts[i] as WebSocket).protocol !== 'portal-inspector')
        .map(([data]) => (Buffer.isBuffer(data) || typeof data === 'string' ? data.toString() : ''))
        .join('\n'),
    }),
  };
}

/** Speaks HTTP/1.1, HTTP/2 and WebSocket. Portal's own test requests have other paths than those of visitors. */
async function recordingService(): Promise<{ port: number; received: () => string }> {
  const seen: unknown[] = [];
  const note = ({ url, rawHeaders }: Pick<IncomingMessage, 'url' | 'rawHeaders'>): void => {
    if (url?.startsWith('/visit')) seen.push([url, rawHeaders]);
  };
  const certificate = await (await openLocalCa(await temporaryFolder())).issue(['localhost']);
  const server = createSecureServer({ ...certificate, allowHTTP1: true });
  server.on('request', (asked: Http2ServerRequest, response) => {
    note(asked);
    asked.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
    asked.once('end', () => response.end(HELLO));
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (asked: IncomingMessage, socket: Socket, head: Buffer) => {
    note(asked);
    sockets.handleUpgrade(asked, socket, head, (webSocket) => webSocket.send(HELLO));
  });
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => open.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    received: () =>
      seen
        .splice(0)
        .map((each) => JSON.stringify(each))
        .join('\n'),
  };
}

interface Place {
  readonly one: TestAgent;
  readonly port: number;
}

const optionsFor = ({ one, port }: Place, { from }: Visitor) => ({
  host: '127.0.0.1',
  port,
  servername: HOST,
  ca: one.ca.certificatePem,
  localAddress: from,
});

async function responseTo(
  at: Place,
  visitor: Visitor,
  options: RequestOptions,
  body?: string,
): Promise<IncomingMessage> {
  const outgoing = request({
    ...optionsFor(at, visitor),
    agent: false,
    ...options,
    headers: { Host: HOST, Accept: 'application/json', ...visitor.headers, ...(options.headers as object) },
  });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

async function textOf(response: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

const outcomeOf = (status: number | undefined, body: string): Outcome => {
  if (body === HELLO && status === 200) return 'served';
  expect(body).not.toContain(HELLO);
  return status ?? 0;
};

async function overHttp1(at: Place, visitor: Visitor, options: RequestOptions): Promise<Outcome> {
  const response = await responseTo(at, visitor, options);
  const text = await textOf(response);
  // Scripts of other sites must not read Portal's own pages.
  expect(response.headers['access-control-allow-origin']).toBeUndefined();
  return outcomeOf(response.statusCode, text);
}

const VISITS: Readonly<Record<Transport, (at: Place, visitor: Visitor) => Promise<Outcome>>> = {
  'HTTP/1.1': (at, visitor) => overHttp1(at, visitor, { path: '/visit-h1' }),
  'CORS preflight': (at, visitor) =>
    overHttp1(at, visitor, { method: 'OPTIONS', path: '/visit-cors', headers: PREFLIGHT }),
  'HTTP/2': async (at, visitor) => {
    const socket = connectTls({ ...optionsFor(at, visitor), ALPNProtocols: ['h2'] } as never);
    await once(socket, 'secureConnect');
    expect(socket.alpnProtocol).toBe('h2');
    const session = connectH2(`https://${HOST}`, { createConnection: () => socket });
    onTestFinished(() => session.destroy());
    const lower = Object.entries(visitor.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
    const stream = session.request({ ':path': '/visit-h2', ...Object.fromEntries(lower) });
    const [answered] = (await once(stream, 'response')) as [Record<string, unknown>];
    const text = await textOf(stream);
    session.close();
    return outcomeOf(Number(answered[':status']), text);
  },
  WebSocket: async (at, visitor) => {
    const options = { ...optionsFor(at, visitor), headers: { Host: HOST, ...visitor.headers } };
    const socket = new WebSocket(`wss://127.0.0.1:${at.port}/visit-ws`, options);
    onTestFinished(() => socket.terminate());
    return new Promise((resolve, reject) => {
      socket.once('message', (data: Buffer) => resolve(outcomeOf(200, data.toString())));
      socket.once('unexpected-response', (_request, response) => {
        textOf(response).then((text) => resolve(outcomeOf(response.statusCode, text)), reject);
      });
      socket.once('error', reject);
    });
  },
};
