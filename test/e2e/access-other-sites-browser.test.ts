import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import type { AccessSpec } from '../../src/agent/spec.js';
import { browserPage } from '../support/browser.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';

const PIN = '2580-1379';
/** A cheap hash of `horse`. */
const ALICE = '$2a$04$1EALQ.2zezwhbRUjcSLwy.7wK7fWQ/PVdQtsRsnQKo2KDJHySuksK';

/** A service that says who sent each request, and pushes over WebSockets. */
async function bank(): Promise<{ port: number; changes: string[] }> {
  const changes: string[] = [];
  const server = createServer((request, response) => {
    if (request.method !== 'GET') changes.push(`${request.method} ${request.url}`);
    response.setHeader('Content-Type', 'text/html').end('<link rel=icon href="data:,">bank');
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.send('a secret'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, changes };
}

const pageThatTries = (host: string): string => `<link rel=icon href="data:,"><script>
  const options = { method: 'POST', mode: 'no-cors', credentials: 'include' };
  fetch('https://${host}/change', options).catch(() => undefined).then(() => {
    const socket = new WebSocket('wss://${host}/');
    socket.onmessage = ({ data }) => (document.title = data);
    socket.onerror = () => (document.title = 'rejected');
  });
</script>`;

const ACCESS: readonly (readonly [string, AccessSpec])[] = [
  ['a PIN', { pin: PIN }],
  ['a password', { basic: { alice: ALICE } }],
];

it.for(ACCESS)(
  'a page of another tenant of the relay sends nothing with %s of a visitor',
  async ([, access], context) => {
    const page = await browserPage(context, {
      httpCredentials: { username: 'alice', password: 'horse' },
    });
    const { port, changes } = await bank();
    const at = await relay({ domain: 'x.localhost' });
    const [owner, tenant] = [await agent(), await agent()];
    const spec = service('bank', port, { mode: 'http', access, alpn: 'auto' });
    await owner.runner.apply(desired([at.spec], spec));
    await owner.event('lease', ({ phase }) => phase === 'ready');
    const host = `bank.x.localhost:${at.port}`;
    const evil = await httpService((_request, response) => {
      response.setHeader('Content-Type', 'text/html').end(pageThatTries(host));
    });
    await tenant.runner.apply(desired([at.spec], service('evil', evil.port, { mode: 'http', alpn: 'auto' })));
    await tenant.event('lease', ({ phase }) => phase === 'ready');

    await page.goto(`https://${host}/`);
    if (access.pin !== undefined) {
      await page.getByLabel('PIN', { exact: true }).fill(PIN);
      await page.getByRole('button', { name: 'Continue' }).click();
    }
    await page.waitForFunction("document.body.innerText === 'bank'");
    // Its own pages can do both.
    const own = await page.evaluate(`fetch('/own', { method: 'POST' }).then(() => new Promise((resolve) => {
      const socket = new WebSocket(location.href.replace(/^http/, 'ws'));
      socket.onmessage = ({ data }) => resolve(data);
      socket.onerror = () => resolve('rejected');
    }))`);
    expect([own, changes.splice(0)]).toEqual(['a secret', ['POST /own']]);

    await page.goto(`https://evil.x.localhost:${at.port}/`);
    await page.waitForFunction("document.title !== ''");
    expect([await page.title(), changes]).toEqual(['rejected', []]);
    // A link still leads to the service.
    await page.evaluate(`location.href = 'https://${host}/'`);
    await page.waitForFunction("document.body.innerText === 'bank'");
  },
);

it('a page of another site cannot make a visitor wait by wrong passwords', async (context) => {
  const page = await browserPage(context);
  const { port } = await bank();
  const at = await relay();
  const { runner, event } = await agent();
  const access = { basic: { alice: ALICE } };
  await runner.apply(desired([at.spec], service('bank', port, { mode: 'http', access, alpn: 'auto' })));
  await event('lease', ({ phase }) => phase === 'ready');
  const host = `bank.localhost:${at.port}`;
  const evil = await httpService((_request, response) => {
    response.setHeader('Content-Type', 'text/html').end('<link rel=icon href="data:,">');
  });
  await page.goto(`http://evil.localhost:${evil.port}/`);
  await page.evaluate("void (window.other = window.open('about:blank'))");
  const rejected = async (): Promise<number> => (await runner.status()).leases[0]!.refused?.['basic'] ?? 0;
  for (let i = 1; i <= 5; i++) {
    await page.evaluate(`void (window.other.location = 'https://alice:wrong${i}@${host}/')`);
    await expect.poll(rejected, { timeout: 10_000 }).toBeGreaterThanOrEqual(i);
  }
  const response = await page.goto(`https://alice:horse@${host}/`);
  expect(response!.status()).toBe(200);
});
