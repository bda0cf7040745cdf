import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import type { RelaySpec, ServiceSpec } from '../../src/agent/spec.js';
import type { Desired } from '../../src/config/desired.js';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { temporaryFolder } from './folder.js';
import { caFolder } from './ca-pool.js';
import { log } from './log.js';
import { parseTarget } from '../../src/net/target/target.js';
import type { PortalEvent } from '../../src/reconcile/events.js';
import { createRunner, type Runner, type RunnerOptions } from '../../src/reconcile/runner.js';
import { startRelay, type Relay, type RelayOptions } from '../../src/relay/relay.js';

/** Relay, agent and local services in this process, on free ports. Everything closes with the test. */

export { temporaryFolder };

export interface TestRelay extends Relay {
  readonly ca: LocalCa;
  readonly spec: RelaySpec;
}

/** A relay for `*.localhost` on a free port. Options override the defaults. */
export async function relay(options: Partial<RelayOptions> & { ca?: LocalCa } = {}): Promise<TestRelay> {
  const ca = options.ca ?? (await openLocalCa(await caFolder()));
  const domain = options.domain ?? 'localhost';
  const started = await startRelay({
    domain,
    host: '127.0.0.1',
    port: 0,
    tls: await ca.issue([domain, '127.0.0.1', '::1']),
    store: 'memory',
    identity: generateIdentity(),
    log,
    ...options,
  });
  onTestFinished(() => started.close());
  // An object with getters, so that `descriptor` and others stay live.
  return Object.assign(Object.create(started) as Relay, {
    ca,
    spec: { kind: 'url', url: started.url, caFile: ca.certificateFile } as const,
  });
}

/** The inspector's page as built for the tests. */
export const WEB_DIR = fileURLToPath(new URL('../../dist/web', import.meta.url));

/** A relay's agents page, built likewise. */
export const AGENTS_WEB_DIR = fileURLToPath(new URL('../../dist/web-relay', import.meta.url));

export interface TestAgent {
  readonly runner: Runner;
  readonly identity: Identity;
  readonly events: PortalEvent[];
  readonly ca: LocalCa;
  /** The first event, past or future, that `match` accepts, from position `from` on. */
  readonly event: <T extends PortalEvent['event']>(
    type: T,
    match?: (event: Extract<PortalEvent, { event: T }>) => boolean,
    from?: number,
  ) => Promise<Extract<PortalEvent, { event: T }>>;
}

export async function agent(
  options: {
    identity?: Identity;
    caDir?: string;
    acmeDir?: string;
    acme?: RunnerOptions['acme'];
    proveEveryMs?: number;
    proxyFor?: RunnerOptions['proxyFor'];
    registryDir?: string;
    candidates?: RunnerOptions['candidates'];
    trust?: RunnerOptions['trust'];
    warn?: RunnerOptions['warn'];
    /** This machine's name. */
    machine?: string;
    /** The inspector, on a free port. */
    inspector?: true;
    shareStore?: RunnerOptions['shareStore'];
    /** Path of portal.yaml. */
    file?: string;
    heldDir?: string;
    holdLimits?: RunnerOptions['holdLimits'];
    historyDir?: string;
  } = {},
): Promise<TestAgent> {
  const caDir = options.caDir ?? (await caFolder());
  const identity = options.identity ?? generateIdentity();
  const events: PortalEvent[] = [];
  const waiters = new Set<() => void>();
  const runner = createRunner({
    file: options.file ?? null,
    version: 'test',
    identity,
    caDir,
    ...(options.proveEveryMs !== undefined && { proveEveryMs: options.proveEveryMs }),
    acmeDir: options.acmeDir ?? (await temporaryFolder()),
    ...(options.acme && { acme: options.acme }),
    ...(options.proxyFor && { proxyFor: options.proxyFor }),
    ...(options.registryDir !== undefined && { registryDir: options.registryDir }),
    ...(options.candidates && { candidates: options.candidates }),
    ...(options.trust && { trust: options.trust }),
    ...(options.warn && { warn: options.warn }),
    ...(options.machine !== undefined && { machine: options.machine }),
    ...(options.shareStore && { shareStore: options.shareStore }),
    ...(options.heldDir !== undefined && { heldDir: options.heldDir }),
    ...(options.holdLimits && { holdLimits: options.holdLimits }),
    ...(options.inspector && {
      inspector: {
        webDir: WEB_DIR,
        port: 0,
        ...(options.historyDir !== undefined && { historyDir: options.historyDir }),
      },
    }),
    startEmbedded: () => Promise.reject(new Error('no embedded relay in this test')),
    emit: (event) => {
      events.push(event);
      for (const waiter of waiters) waiter();
    },
    log,
  });
  onTestFinished(() => runner.stop({ reason: 'test finished', drainMs: 0 }));
  return {
    runner,
    identity,
    events,
    ca: await openLocalCa(caDir),
    event: (type, match = () => true, from = 0) =>
      new Promise((resolve) => {
        const look = (): void => {
          for (const event of events.slice(from)) {
            if (event.event === type && match(event as never)) {
              waiters.delete(look);
              resolve(event as never);
              return;
            }
          }
        };
        waiters.add(look);
        look();
      }),
  };
}

/** A stream offers HTTP/1.1 by default, so that no target is probed before its first visitor. */
export function service(name: string, target: number | string, over: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    service: name,
    name,
    mode: 'stream',
    target: parseTarget(target),
    routes: [],
    alpn: over.mode === 'http' ? 'auto' : ['http/1.1'],
    hostname: undefined,
    port: undefined,
    proxyProtocol: false,
    targetTls: {},
    carrier: 'raw',
    tls: { source: 'local' },
    metadata: {},
    expires: undefined,
    access: {},
    relays: [],
    ...over,
  };
}

/** A Desired with every service on every relay. */
export function desired(relays: RelaySpec[], ...services: ServiceSpec[]): Desired {
  return {
    file: undefined,
    identityFile: undefined,
    relays,
    services: services.map((spec) => ({ ...spec, relays })),
  };
}

/** A local HTTP service. Resolves with its port. */
export async function httpService(
  listener: RequestListener,
  port = 0,
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createHttpServer(listener);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  onTestFinished(close);
  return { port: (server.address() as AddressInfo).port, close };
}

/** A local TCP service. Resolves with its port. */
export async function tcpService(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A TCP service that gives each connection to the test. */
export async function handedOver(): Promise<{ port: number; next: () => Promise<Socket> }> {
  const arrived: Socket[] = [];
  let wake: (() => void) | undefined;
  const port = await tcpService((socket) => {
    socket.resume();
    arrived.push(socket);
    wake?.();
  });
  return {
    port,
    next: async () => {
      while (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return arrived.shift()!;
    },
  };
}

/** A visitor's TLS connection to `hostname` through the relay's public port. Resolves when it is secure. */
export async function visit(
  at: { port: number },
  hostname: string,
  ca: LocalCa,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = connect({
    host: '127.0.0.1',
    port: at.port,
    servername: hostname,
    ca: ca.certificatePem,
    ALPNProtocols: ['http/1.1'],
    ...options,
  });
  onTestFinished(() => {
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before secure')));
  });
  return socket;
}

/**
 * For `visit`: a protocol other than HTTP. Portal ends an HTTP connection at its first pause when its target or relay
 * changes, and a busy machine pauses at any time.
 */
export const NOT_HTTP = { ALPNProtocols: undefined as never } as const;

/** One HTTP/1.1 exchange on a new visitor connection. The whole response as text. */
export async function get(
  at: { port: number },
  hostname: string,
  ca: LocalCa,
  path = '/',
): Promise<{ status: number; text: string }> {
  const socket = await visit(at, hostname, ca);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  const text = (await readAll(socket)).toString();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]), text };
}

/** Everything until the other side closes cleanly. Rejects on an error. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
