import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { ShareStore } from '../../src/agent/access/share/store.js';
import type { AccessSpec, Mode } from '../../src/agent/spec.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { agent, desired, httpService, readAll, relay, service, temporaryFolder, visit } from './world.js';

export const HOST = 'app.localhost';
export const PIN = '2580-1379';
const HOUR_MS = 3_600_000;

/** A service with gates, and share links to it. */
export async function shared(access: AccessSpec = { pin: PIN }, mode: Mode = 'http') {
  const seen: IncomingMessage[] = [];
  const site = await httpService((request, response) => {
    seen.push(request);
    response.end('the site');
  });
  const at = await relay();
  const identity = generateIdentity();
  const store = new ShareStore(join(await temporaryFolder(), 'identity.json'));
  const one = await agent({ identity, shareStore: store, inspector: true });
  const inspect = mode === 'http' && { inspect: { mask: [] } };
  const spec = service('app', site.port, { mode, access, alpn: 'auto', ...inspect });
  await one.runner.sharing!.load();
  await one.runner.apply(desired([at.spec], spec));
  await one.event('lease', ({ phase }) => phase === 'ready');
  const create = async (
    path = '/',
    until = Date.now() + HOUR_MS,
  ): Promise<{ id: string; target: string }> => {
    const { id, links } = await one.runner.sharing!.share({ service: 'app', path, until });
    const url = new URL(links[0]!);
    return { id, target: url.pathname + url.search };
  };
  const ask = async (head: string, fields: Record<string, string> = {}, from = '127.0.0.1') => {
    const socket = await visit(at, HOST, one.ca, { localAddress: from } as never);
    const all = { Host: HOST, Connection: 'close', Accept: 'text/html', ...fields };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`${head} HTTP/1.1\r\n${lines.join('')}\r\n`);
    const text = (await readAll(socket)).toString();
    const header = (name: string): string | undefined =>
      new RegExp(`^${name}: (.*)\r$`, 'im').exec(text)?.[1];
    return { status: Number(text.slice(9, 12)), text, header };
  };
  const opened = async (target: string): Promise<{ Cookie: string }> => {
    const cookie = (await ask(`GET ${target}`)).header('set-cookie');
    return { Cookie: cookie!.split(';', 1)[0]! };
  };
  const change = (next: AccessSpec): Promise<void> =>
    one.runner.apply(desired([at.spec], { ...spec, access: next }));
  /** Replaces the site with one for WebSockets. */
  const serveSockets = async (): Promise<void> => {
    await site.close();
    const sockets = new WebSocketServer({ port: site.port, host: '127.0.0.1' });
    onTestFinished(() => sockets.close());
    sockets.on('connection', (socket) => socket.send('hello'));
  };
  const openSocket = async (headers: Record<string, string>): Promise<WebSocket> => {
    const options = { servername: HOST, ca: one.ca.certificatePem, headers: { Host: HOST, ...headers } };
    const socket = new WebSocket(`wss://127.0.0.1:${at.port}`, options);
    onTestFinished(() => socket.terminate());
    socket.on('error', () => undefined);
    await once(socket, 'message');
    return socket;
  };
  return { at, one, store, seen, create, ask, opened, change, serveSockets, openSocket };
}
