import { connect as connectH2, type ClientHttp2Session } from 'node:http2';
import type { IncomingMessage } from 'node:http';
import { request, type RequestOptions } from 'node:https';
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import type { HttpLimits } from '../../src/agent/modes/http/limits.js';
import { HttpHandler } from '../../src/agent/modes/http/handler.js';
import type { Gates } from '../../src/agent/access/gates.js';
import type { Recorders } from '../../src/agent/inspect/recorder.js';
import type { NameRejection } from '../../src/agent/lease/rejected-name.js';
import { TargetProtocols } from '../../src/agent/target/target-protocols.js';
import { upstreamOf } from '../../src/agent/target/upstream.js';
import type { RouteSpec, ServiceSpec } from '../../src/agent/spec.js';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import { parseTarget } from '../../src/net/target/target.js';
import { log } from './log.js';
import { temporaryFolder } from './folder.js';
import { service } from './world.js';

/**
 * Mode http alone, with the visitor's TLS in front of it and no relay, for behaviour that does not depend on a relay.
 */

export const HOST = 'app.localhost';
/** The visitors' address, as a relay would report it. */
export const VISITOR = '203.0.113.7';

export interface Edge {
  readonly handler: HttpHandler;
  readonly protocols: TargetProtocols;
  readonly port: number;
  readonly ca: LocalCa;
  /** The public name. */
  readonly name: string;
  /** The Host header of a visitor. */
  readonly host: string;
  /** The originally requested target. */
  spec(): ServiceSpec;
  update(routes: Routes): void;
}

export type Routes = Record<string, number | string | (Partial<RouteSpec> & { to: number | string })>;

let shared: Promise<LocalCa> | undefined;

export async function edge(
  routes: Routes,
  options: {
    bounds?: Partial<HttpLimits>;
    visitor?: string | (() => string);
    recorders?: Recorders;
    /** Replaces HOST. */
    name?: string;
    onNameRejected?: (rejection: NameRejection) => void;
    /** Default: every request passes. */
    gates?: Pick<Gates, 'ask' | 'repeat' | 'redact'>;
  } = {},
): Promise<Edge> {
  // One CA for the file, because creating keys is slow.
  shared ??= temporaryFolder().then(openLocalCa);
  const ca = await shared;
  const { bounds, recorders, name = HOST, onNameRejected, gates } = options;
  const inspect = recorders && { inspect: { mask: [] } };
  const spec = { ...httpSpec('app', routes), ...inspect };
  const protocols = new TargetProtocols(() => upstreamOf(spec), log);
  const handler = new HttpHandler(spec, log, protocols, gates, bounds, { recorders, onNameRejected });
  const { visitor = VISITOR } = options;
  const sockets = new Set<Socket>();
  const server = createServer(
    // A relay's data connections are half-open sockets, too.
    { ...(await ca.issue([name])), ALPNProtocols: ['h2', 'http/1.1'], allowHalfOpen: true },
    (socket) => {
      sockets.add(socket);
      const remote = { address: typeof visitor === 'string' ? visitor : visitor(), port: 50_000 };
      handler.visit(socket, { remote, local: { address: '127.0.0.1', port: 443 } });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    await handler.drain({ ms: 0 });
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    handler,
    protocols,
    port,
    ca,
    name,
    host: `${name}:${port}`,
    spec: () => spec,
    update: (next) => handler.update({ ...httpSpec('app', next), ...inspect }),
  };
}

/** A service in mode http with these routes. */
export function httpSpec(name: string, routes: Routes): ServiceSpec {
  const specs = Object.entries(routes).map(([prefix, route]): RouteSpec => {
    const { to, ...over } = typeof route === 'object' ? route : { to: route };
    const defaults = { stripPrefix: true, headers: {}, responseHeaders: {} } as const;
    return { prefix, target: parseTarget(to), ...defaults, ...over };
  });
  return service(name, 1, { mode: 'http', routes: specs, target: specs[0]!.target });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly bytes: Buffer;
  readonly trailers: IncomingMessage['trailers'];
}

/** One exchange over HTTP/1.1, through Node's client. */
export function ask(
  at: Edge,
  path: string,
  options: RequestOptions & { body?: string | Buffer } = {},
): Promise<Answer> {
  const { body, headers, ...rest } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: '127.0.0.1',
      port: at.port,
      servername: at.name,
      ca: at.ca.certificatePem,
      agent: false,
      path,
      headers: { host: at.host, ...(headers as Record<string, string> | undefined) },
      ...rest,
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          body: Buffer.concat(chunks).toString(),
          bytes: Buffer.concat(chunks),
          trailers: response.trailers,
        }),
      );
    });
    outgoing.end(body);
  });
}

/** A visitor's TLS connection. */
export async function connectTo(at: Edge, alpn: string = 'http/1.1'): Promise<TLSSocket> {
  const socket = connect({
    host: '127.0.0.1',
    port: at.port,
    servername: at.name,
    ca: at.ca.certificatePem,
    ALPNProtocols: [alpn],
  });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('secureConnect', resolve));
  return socket;
}

/** Sends bytes unchanged, and returns all bytes until the connection closes. */
export async function raw(at: Edge, bytes: string): Promise<string> {
  const socket = await connectTo(at);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(Buffer.from(bytes, 'latin1'));
  await closed;
  return received;
}

export async function h2Visitor(at: Edge): Promise<ClientHttp2Session> {
  const socket = await connectTo(at, 'h2');
  const session = connectH2(`https://${at.host}`, { createConnection: () => socket });
  onTestFinished(() => session.destroy());
  session.on('error', () => undefined);
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  return session;
}

export interface H2Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly trailers: Record<string, unknown>;
}

/** One exchange over HTTP/2. */
export function askH2(
  session: ClientHttp2Session,
  headers: Record<string, string | string[]>,
  body?: string | Buffer,
): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let answered: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    let text = '';
    stream.once('response', (received) => (answered = received));
    stream.once('trailers', (received) => (trailers = received));
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    stream.once('error', reject);
    stream.once('close', () => {
      if (stream.rstCode !== 0) reject(new Error(`reset with ${stream.rstCode}`));
      else resolve({ status: Number(answered[':status']), headers: answered, body: text, trailers });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** A target that records every received byte, and responds on each connection with fixed bytes. */
export async function rawTarget(
  answer: string | ((received: string, socket: Socket) => void),
): Promise<{ port: number; received: string[] }> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcp((socket) => {
    sockets.add(socket);
    let index: number | undefined;
    let answered = false;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      // The agent's probe for HTTP/2.
      if (index === undefined && chunk.toString('latin1').startsWith('PRI '))
        return void socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      index ??= received.push('') - 1;
      received[index] += chunk.toString('latin1');
      if (typeof answer === 'function') return answer(received[index]!, socket);
      if (answered || !received[index]!.includes('\r\n\r\n')) return;
      answered = true;
      socket.end(Buffer.from(answer, 'latin1'));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, received };
}
