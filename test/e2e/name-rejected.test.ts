import { createServer, type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { NameRejection } from '../../src/agent/lease/rejected-name.js';
import { ask, edge, HOST, httpSpec } from '../support/http-edge.js';
import { agent, desired, get, httpService, relay } from '../support/world.js';

it('reports once that a target rejects the public name, however many visitors see it', async () => {
  const { port } = await httpService((request, response) => {
    response.statusCode = 403;
    response.end(request.url === '/own' ? 'Forbidden' : 'Invalid Host header');
  });
  const at = await relay();
  const one = await agent();
  await one.runner.apply(desired([at.spec], httpSpec('app', { '/': port })));
  await one.event('ready');
  const reported = (): unknown[] =>
    one.events.filter((event) => event.event === 'notice' && event.kind === 'name_rejected');
  // A response that does not mention names.
  await get(at, HOST, one.ca, '/own');
  expect(reported()).toEqual([]);
  for (const path of ['/', '/again']) expect((await get(at, HOST, one.ca, path)).text).toContain('Invalid');
  expect(reported()).toMatchObject([
    {
      service: 'app',
      framework: 'webpack',
      name: HOST,
      message: `app: webpack-dev-server rejects the name ${HOST}. Add "${HOST}" to devServer.allowedHosts in webpack.config.js, or set \`host: target\`.`,
    },
  ]);
});

it('reports that Next.js rejects the WebSocket of a page, although its response is not HTTP', async () => {
  const server = createServer((socket) => socket.once('data', () => socket.end('Unauthorized')));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const reported: NameRejection[] = [];
  const { port } = server.address() as AddressInfo;
  const at = await edge({ '/': port }, { onNameRejected: (rejection) => reported.push(rejection) });
  const headers = { connection: 'Upgrade', upgrade: 'websocket', origin: `https://${at.host}` };
  for (const path of ['/chat', '/_next/hmr?id=x'])
    expect(await ask(at, path, { headers })).toMatchObject({ status: 502 });
  expect(reported).toMatchObject([{ id: 'next', name: HOST }]);
});

it.each([
  ['https://elsewhere.example', 0],
  ['null', 0],
  [`https://${HOST}`, 1],
])('reports %i times that a target rejects the origin %s', async (own, times) => {
  const { port } = await httpService((_request, response) => {
    response.statusCode = 403;
    response.end('Invalid CORS request');
  });
  const reported: NameRejection[] = [];
  const at = await edge({ '/': port }, { onNameRejected: (rejection) => reported.push(rejection) });
  const origin = own.replace(HOST, at.host);
  expect((await ask(at, '/', { method: 'POST', headers: { origin }, body: 'x' })).status).toBe(403);
  expect(reported.map(({ id }) => id)).toEqual(Array(times).fill('spring'));
});
