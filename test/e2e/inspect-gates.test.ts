import { expect, it } from 'vitest';
import type { ConnectionOptions } from 'node:tls';
import { inspectorOf } from '../support/inspector.js';
import { connectTo } from '../support/private.js';
import { agent, desired, httpService, readAll, relay, service, visit } from '../support/world.js';

/** How the inspector shows visitors that Portal itself rejects. */

const HOST = 'app.localhost';
const FRIEND = '127.0.0.2';
const STRANGER = '127.0.0.3';
const PIN = '2580-1379';

async function inspected(target: number) {
  const at = await relay();
  const one = await agent({ inspector: true });
  const access = { allowIps: [FRIEND], pin: PIN };
  await one.runner.apply(
    desired([at.spec], service('app', target, { access, mode: 'http', inspect: { mask: [] } })),
  );
  await one.event('lease', ({ phase }) => phase === 'ready');
  const { url, token, rows } = await inspectorOf(one);
  const everything = async (): Promise<string> => {
    const texts = [...rows.keys()].map(async (id) => {
      const headers = { Authorization: `Bearer ${token}`, Origin: url.origin };
      const reveal = fetch(`${url.origin}/api/requests/${id}/reveal`, { method: 'POST', headers });
      const body = fetch(`${url.origin}/api/requests/${id}/body?of=request`, { headers });
      return `${await (await reveal).text()} ${await (await body).text()}`;
    });
    return (await Promise.all(texts)).join('\n');
  };
  const ask = async (localAddress: string, head: string, body = '', fields = ''): Promise<string> => {
    const options = { localAddress, ALPNProtocols: ['http/1.1'] } as ConnectionOptions;
    const socket = await visit(at, HOST, one.ca, options);
    const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
    socket.write(`${head} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n${fields}${length}\r\n${body}`);
    return (await readAll(socket)).toString();
  };
  return { ask, rows, everything };
}

it('shows visitors that a gate rejected, which gate, and never a PIN', async () => {
  const { port } = await httpService((_request, response) => response.end('the site'));
  const { ask, rows, everything } = await inspected(port);
  await ask(STRANGER, 'GET /secret?x=1');
  await ask(FRIEND, 'GET /');
  await ask(FRIEND, 'POST /__portal/pin', 'pin=0000-1111&to=/');
  await ask(FRIEND, 'POST /__portal/pin', `pin=${PIN}&to=/`);
  expect(await ask(FRIEND, 'GET /in', '', `Portal-Pin: ${PIN}\r\n`)).toContain('the site');
  await expect
    .poll(() =>
      [...rows.values()].map(({ target, status, remote, portal }) => [
        target,
        status,
        remote,
        portal?.code,
        portal?.gate,
      ]),
    )
    .toEqual([
      ['/secret?x=1', 403, STRANGER, 'ip_denied', 'ip'],
      ['/', 401, FRIEND, 'pin_required', 'pin'],
      ['/__portal/pin', 401, FRIEND, 'pin_wrong', 'pin'],
      ['/__portal/pin', 303, FRIEND, 'pin_form', undefined],
      ['/in', 200, FRIEND, undefined, undefined],
    ]);
  const text = await everything();
  expect(text).toContain('"name":"Portal-Pin"');
  expect(text).not.toContain(PIN);
  expect(text).not.toContain('0000-1111');
  expect(text).toContain('"noReplay":"Portal rejected the visitor"');
});

it('repeats a request that came through `portal connect`, and lists those of other sites', async () => {
  const { port } = await httpService((request, response) => response.end(`the site for ${request.url}`));
  const at = await relay();
  const one = await agent({ inspector: true });
  const spec = { access: { identities: [] }, mode: 'http', inspect: { mask: [] } } as const;
  await one.runner.apply(desired([at.spec], service('app', port, spec)));
  await one.event('lease', ({ phase }) => phase === 'ready');
  const { url, token, rows } = await inspectorOf(one);
  const local = async (fields: string): Promise<void> => {
    const socket = await connectTo(at, HOST, one.identity, one.identity.address);
    socket.write(`GET /in HTTP/1.1\r\nHost: localhost:5000\r\nConnection: close\r\n${fields}\r\n`);
    await readAll(socket);
  };
  await local('');
  await local('Origin: https://evil.example\r\n');
  const listed = () => [...rows.values()].map(({ status, portal }) => [status, portal?.code]);
  await expect.poll(listed).toEqual([
    [200, undefined],
    [403, 'foreign_site'],
  ]);
  const [first] = rows.keys();
  const headers = {
    Authorization: `Bearer ${token}`,
    Origin: url.origin,
    'Content-Type': 'application/json',
  };
  await fetch(`${url.origin}/api/requests/${first}/replay`, { method: 'POST', headers, body: '{}' });
  await expect.poll(() => listed()[2]).toEqual([200, undefined]);
});
