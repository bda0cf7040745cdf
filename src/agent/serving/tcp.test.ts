import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { handedOver, service, tcpService } from '../../../test/support/world.js';
import type { CertificateSources } from '../../certificates/live.js';
import { generateIdentity } from '../../identity/keys.js';
import { silent } from '../../lib/logger.js';
import { KnownTargets } from '../target/known-targets.js';
import { Gates } from '../access/gates.js';
import { Rejections } from '../access/rejections.js';
import type { Serving } from './serving.js';
import { openTcpServing } from './tcp.js';

const VISITOR = {
  remote: { address: '203.0.113.7', port: 50_000 },
  local: { address: '127.0.0.1', port: 5432 },
};

afterEach(() => {
  vi.useRealTimers();
});

/** The serving side of a lease in mode tcp, and a public port whose visitors the test brings to it. */
async function served(target: number) {
  const spec = service('db', target, { mode: 'tcp', carrier: 'tls' });
  const rejections = new Rejections(() => undefined);
  const serving = await openTcpServing({
    spec,
    opened: {} as never,
    certificates: {} as CertificateSources,
    targets: new KnownTargets(),
    gates: new Gates({ spec, sessionKey: Buffer.alloc(32), identity: generateIdentity(), rejections }),
    sessionKey: Buffer.alloc(32),
    signal: new AbortController().signal,
    onServedAs: () => undefined,
    onReached: () => undefined,
    log: silent,
  });
  onTestFinished(() => serving.close({ ms: 0 }));
  const publicPort = await listening();
  return { serving, publicPort, prove: () => prove(serving, publicPort.port) };
}

const prove = (serving: Serving, port: number) =>
  serving.prove({
    address: '127.0.0.1',
    port,
    lease: 'db',
    datagrams: undefined,
    via: undefined,
    signal: new AbortController().signal,
  });

/** A port that accepts connections and reads nothing. */
async function listening(): Promise<{ port: number; next: () => Promise<Socket> }> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const arrived: Socket[] = [];
  server.on('connection', (socket) => {
    arrived.push(socket.on('error', () => undefined));
    server.emit('arrived');
  });
  onTestFinished(() => {
    for (const socket of arrived) socket.destroy();
    server.close();
  });
  let taken = 0;
  const next = async (): Promise<Socket> => {
    while (arrived.length <= taken) await once(server, 'arrived');
    return arrived[taken++]!;
  };
  return { port: (server.address() as AddressInfo).port, next };
}

/** A data connection: the relay's end and the agent's. */
async function dataConnection(): Promise<{ relay: Socket; agent: Socket }> {
  const at = await listening();
  const agent = connect({ port: at.port, host: '127.0.0.1', allowHalfOpen: true }).on(
    'error',
    () => undefined,
  );
  onTestFinished(() => void agent.destroy());
  return { relay: await at.next(), agent };
}

it('recognises its own visit even if it arrives early, and hides it from the target', async () => {
  let visits = 0;
  const { serving, publicPort, prove: begin } = await served(await tcpService(() => visits++));
  const { relay, agent } = await dataConnection();
  const proven = begin();
  // The relay may forward the connection before the agent learns that it is connected.
  serving.visit(agent, VISITOR);
  (await publicPort.next()).pipe(relay);
  await proven;
  expect(visits).toBe(0);
});

it('recognises a late visit of its own, and serves silent visitors right after it', async () => {
  const target = await handedOver();
  const { serving, publicPort, prove: begin } = await served(target.port);
  const [own, other] = [await dataConnection(), await dataConnection()];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const proven = begin();
  const visit = await publicPort.next();
  serving.visit(own.agent, VISITOR);
  serving.visit(other.agent, VISITOR);
  vi.advanceTimersByTime(2_000);
  visit.pipe(own.relay);
  await proven;
  const welcoming = await target.next();
  welcoming.write('welcome');
  expect(String((await once(other.relay, 'data'))[0])).toBe('welcome');
  expect(serving.traffic().visitors).toBe(1);
});

it('serves a visitor that sends other bytes immediately, during its own visit', async () => {
  const target = await handedOver();
  const { serving, prove: begin } = await served(target.port);
  const { relay, agent } = await dataConnection();
  const proven = begin().catch((error: unknown) => error);
  serving.visit(agent, VISITOR);
  relay.write('SELECT 1');
  expect(String((await once(await target.next(), 'data'))[0])).toBe('SELECT 1');
  await serving.close({ ms: 0 });
  void proven;
});
