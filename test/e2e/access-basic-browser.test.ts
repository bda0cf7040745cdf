import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { browserPage } from '../support/browser.js';
import { agent, desired, relay, service } from '../support/world.js';

// A cheap hash of `kůň`.
const ALICE = '$2a$04$1vWHRmArdZxgmpOryy9RRecHrk5skGlN.Ugnc7tpePnwFEhLvMbqu';

it('signs a browser in with a password in UTF-8, for pages and WebSockets', async (context) => {
  const options = { httpCredentials: { username: 'alice', password: 'kůň' } };
  const page = await browserPage(context, options);
  const users: unknown[] = [];
  const server = createServer((request, response) => {
    users.push(request.headers['x-portal-user']);
    response.setHeader('content-type', 'text/html').end('<title>site</title><p>the site');
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, { headers }) => socket.send(String(headers['x-portal-user'])));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const at = await relay();
  const { runner, event } = await agent();
  const spec = service('wiki', port, { mode: 'stream', access: { basic: { alice: ALICE } }, alpn: 'auto' });
  await runner.apply(desired([at.spec], spec));
  const { url } = await event('lease', ({ phase }) => phase === 'ready');

  const response = await page.goto(`${url}/`);
  expect([response?.status(), await page.textContent('p')]).toEqual([200, 'the site']);
  const greeting = await page.evaluate(`new Promise((resolve) => {
    const socket = new WebSocket(location.href.replace(/^http/, 'ws'));
    socket.addEventListener('message', ({ data }) => resolve(data));
    socket.addEventListener('close', () => resolve('closed'));
  })`);
  expect(greeting).toBe('alice');
  expect(new Set(users)).toEqual(new Set(['alice']));
});
