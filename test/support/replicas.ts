import { connect } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Identity } from '../../src/identity/identity.js';
import { generateIdentity } from '../../src/identity/keys.js';
import type { RelaySpec, ServiceSpec } from '../../src/agent/spec.js';
import { caFolder } from './ca-pool.js';
import { agent, desired, get, httpService, readAll, service, tcpService, type TestAgent } from './world.js';

type Over = Partial<ServiceSpec> & { as?: { identity: Identity; caDir: string } };

export interface Replica extends TestAgent {
  /** What its local service responds with. */
  readonly says: string;
  /** Its public port, in modes tcp and udp. */
  readonly port: number;
  /** Stops its local service. */
  readonly closeTarget: () => Promise<void>;
}

/** An agent whose service `web` responds to HTTP with `says`. Resolves when it is ready. */
export async function replica(relay: RelaySpec, says: string, over: Over = {}): Promise<Replica> {
  const local = await httpService((_request, response) => response.end(says));
  return replicaOf(relay, says, local, over);
}

/** An agent that publishes the service at `local` as `web`. */
export async function replicaOf(
  relay: RelaySpec,
  says: string,
  local: { readonly port: number; close(): Promise<void> },
  { as, ...over }: Over = {},
): Promise<Replica> {
  const one = await agent(as);
  const spec = service('web', local.port, { replicas: 'spread', ...over });
  await one.runner.apply(desired([relay], spec));
  const { tcpAddr, udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = Number((tcpAddr ?? udpAddr)?.split(':')[1]);
  return { ...one, says, port, closeTarget: () => local.close() };
}

/** An agent whose service `web`, in mode tcp, greets with `says`. Resolves when it is ready. */
export async function tcpReplica(relay: RelaySpec, says: string, over: Over = {}): Promise<Replica> {
  const port = await tcpService((socket) => void socket.end(says));
  return replicaOf(relay, says, { port, close: async () => undefined }, { ...over, mode: 'tcp' });
}

/** What all agents of one identity have: visitors trust each of them. */
export async function siblings(): Promise<{ identity: Identity; caDir: string }> {
  return { identity: generateIdentity(), caDir: await caFolder() };
}

/** Replicas of one identity, opened in this order. */
export async function replicas(
  relay: RelaySpec,
  names: readonly string[],
  over: Partial<ServiceSpec> = {},
): Promise<Replica[]> {
  const as = await siblings();
  const all: Replica[] = [];
  for (const says of names) all.push(await replica(relay, says, { ...over, as }));
  return all;
}

/** Which replicas served `count` visitors, one after another. */
export async function servedBy(
  at: { readonly port: number },
  { ca }: Pick<Replica, 'ca'>,
  count: number,
): Promise<string[]> {
  const all: string[] = [];
  for (let index = 0; index < count; index++) {
    const { text } = await get(at, 'web.localhost', ca);
    all.push(text.slice(text.lastIndexOf('\r\n\r\n') + 4).trim());
  }
  return all;
}

/** What the service says to a visitor of the port. */
export async function greeting(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void socket.destroy());
  return (await readAll(socket)).toString();
}
