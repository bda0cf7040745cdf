import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkHealth } from '../../src/agent/target/health-check.js';
import type { HealthSpec } from '../../src/agent/spec.js';
import { agent, desired, get, httpService, relay, service, tcpService } from '../support/world.js';

/** What local services report about their health, and who sees it. */

const never = new AbortController().signal;
const HEALTH: HealthSpec = { path: '/healthz', intervalMs: 1_000, timeoutMs: 2_000 };
const ask = (target: number | string, over: Partial<HealthSpec> = {}): Promise<string | undefined> =>
  checkHealth(service('app', target, { health: { ...HEALTH, ...over } }), never);

describe('a health check', () => {
  it.each([
    [200, undefined],
    [204, undefined],
    [302, undefined],
    [404, undefined],
    [500, 'returned 500'],
    [503, 'returned 503'],
  ])('treats %i as healthy or not', async (status, error) => {
    const seen: unknown[] = [];
    const { port } = await httpService((request, response) => {
      seen.push([request.method, request.url, request.headers.host]);
      response.writeHead(status).end();
    });
    expect(await ask(port)).toBe(error && `GET /healthz at localhost:${port} ${error}`);
    expect(seen).toEqual([['GET', '/healthz', `localhost:${port}`]]);
  });

  it('is a connection if no path is set', async () => {
    const port = await tcpService(() => undefined);
    const { path: _, ...plain } = HEALTH;
    expect(await checkHealth(service('app', port, { health: plain }), never)).toBeUndefined();
    expect(await checkHealth(service('app', 1, { health: plain }), never)).toContain(
      'nothing listens on port 1 ',
    );
  });

  it('times out, and leaves no connection open', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const arrived = once(server, 'connection');
    const answer = ask(port, { timeoutMs: 100 });
    const [socket] = (await arrived) as [NodeJS.EventEmitter & { resume(): void }];
    const gone = once(socket, 'close');
    socket.resume();
    expect(await answer).toBe(`GET /healthz at localhost:${port} timed out after 100 ms`);
    await gone;
  });

  it('reports that a target without HTTP did not respond', async () => {
    const port = await tcpService((socket) => socket.end('nonsense\r\n\r\n'));
    expect(await ask(port)).toMatch(/GET \/healthz at localhost:\d+ failed/);
  });
});

it('reports an unhealthy target in an event and in `status`, keeps serving visitors, and ends with the setting', async () => {
  const at = await relay();
  let status = 500;
  const { port } = await httpService((request, response) => {
    response.writeHead(request.url === '/healthz' ? status : 200).end('hello');
  });
  const one = await agent();
  const events = (): unknown[] => one.events.filter(({ event }) => event === 'health');
  await one.runner.apply(desired([at.spec], service('app', port, { health: HEALTH })));
  const error = `GET /healthz at localhost:${port} returned 500`;
  expect((await one.runner.status()).leases[0]).toMatchObject({ phase: 'ready', healthError: error });
  expect(events()).toMatchObject([{ service: 'app', healthy: false, error }]);
  expect((await get(at, 'app.localhost', one.ca)).text).toContain('hello');
  status = 200;
  expect((await one.runner.status()).leases[0]).not.toHaveProperty('healthError');
  expect(events()).toHaveLength(2);
  expect(events()[1]).toEqual({ event: 'health', service: 'app', healthy: true });
  status = 500;
  await one.runner.apply(desired([at.spec], service('app', port)));
  expect((await one.runner.status()).leases[0]).not.toHaveProperty('healthError');
});
