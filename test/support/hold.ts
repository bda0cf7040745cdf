import { createServer, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { RelaySpec, ServiceSpec } from '../../src/agent/spec.js';
import type { Desired } from '../../src/config/desired.js';
import { generateIdentity } from '../../src/identity/keys.js';
import {
  agent,
  desired,
  readAll,
  relay,
  service,
  temporaryFolder,
  visit,
  type TestAgent,
  type TestRelay,
} from './world.js';

/** A receiver of webhooks that is down now and then, and agents that hold them. */

export const HOOKS_HOST = 'hooks.localhost';
export const HOLD = { forMs: 600_000 };

interface Received {
  readonly method: string;
  readonly url: string;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

/** The status of the response, a reset, or no response. */
type Respond = (received: Received) => number | 'reset' | 'silent';
const accept: Respond = () => 200;

/** A receiver on a port of its own, down at first. */
export async function receiver() {
  const placeholder = createServer().listen(0, '127.0.0.1');
  await once(placeholder, 'listening');
  const { port } = placeholder.address() as AddressInfo;
  placeholder.close();
  await once(placeholder, 'close');
  const received: Received[] = [];
  let status: Respond = accept;
  let server: Server | undefined;
  const down = async (): Promise<void> => {
    server?.closeAllConnections();
    if (server) await new Promise((resolve) => server!.close(resolve));
    server = undefined;
  };
  onTestFinished(down);
  return {
    port,
    received,
    bodies: () => received.map(({ body }) => body),
    respondWith: (next: Respond) => (status = next),
    down,
    up: async () => {
      server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.once('end', () => {
          const body = Buffer.concat(chunks).toString();
          const one = { method: request.method!, url: request.url!, body, headers: request.headers };
          const answer = status(one);
          received.push(one);
          if (answer === 'reset') request.socket.resetAndDestroy();
          else if (answer !== 'silent') response.writeHead(answer).end('received');
        });
      }).listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
  };
}

export type Place = Awaited<ReturnType<typeof holdingPlace>>;

/** A relay, and agents of one identity and one portal.yaml, one after another. */
export async function holdingPlace({ at, via }: { at?: TestRelay; via?: RelaySpec } = {}) {
  const entry = at ?? (await relay());
  const heldDir = await temporaryFolder();
  const identity = generateIdentity();
  const wanted = (target: number, over: Partial<ServiceSpec> = {}): Desired =>
    desired([via ?? entry.spec], service('hooks', target, { mode: 'http', hold: HOLD, ...over }));
  const apply = (one: TestAgent, ...of: Parameters<typeof wanted>): Promise<void> =>
    one.runner.apply(wanted(...of));
  const start = async (
    target: number,
    over: Partial<ServiceSpec> = {},
    options: Parameters<typeof agent>[0] = {},
  ): Promise<TestAgent> => {
    const one = await agent({ identity, heldDir, file: '/project/portal.yaml', ...options });
    await apply(one, target, over);
    await one.event('lease', ({ phase }) => phase === 'ready');
    return one;
  };
  return { at: entry, heldDir, identity, start, apply, wanted, files: () => filesIn(heldDir) };
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

/** One request on a connection of its own. */
export async function sendHook(
  { at }: Pick<Place, 'at'>,
  one: TestAgent,
  body: string,
  { method = 'POST', fields = '', path = '/github?x=1' } = {},
) {
  const socket = await visit(at, HOOKS_HOST, one.ca);
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: ${HOOKS_HOST}\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`,
  );
  const text = (await readAll(socket)).toString();
  const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
  const [, held] = /^x-portal-held: (.*)$/im.exec(text) ?? [];
  return { status: Number(status), held, text };
}
