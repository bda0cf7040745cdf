import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { FolderServer } from './server.js';

let folder: string;
let server: FolderServer;

beforeEach(async () => {
  folder = await temporaryFolder();
  await mkdir(join(folder, 'docs'));
  await writeFile(join(folder, 'index.html'), '<h1>app</h1>');
  await writeFile(join(folder, 'docs', 'index.html'), 'docs');
  await writeFile(join(folder, 'app.js'), '0123456789');
  server = await FolderServer.start(folder);
});
afterEach(() => server.close());

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Sends the path as it is: `fetch` would normalise it. */
function get(path: string, { method = 'GET', headers = {} } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request({ port: server.port, host: '127.0.0.1', path, method, headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    asking.on('error', reject).end();
  });
}

it('serves files with their type, and the app for its routes', async () => {
  expect(await get('/app.js')).toMatchObject({
    status: 200,
    headers: { 'content-type': 'text/javascript; charset=utf-8', 'x-content-type-options': 'nosniff' },
    body: '0123456789',
  });
  expect(await get('/shop/7?from=mail')).toMatchObject({ status: 200, body: '<h1>app</h1>' });
  expect(await get('/app.js', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
});

it('serves ranges, and nothing again that the client has', async () => {
  expect(await get('/app.js', { headers: { Range: 'bytes=-3' } })).toMatchObject({
    status: 206,
    body: '789',
  });
  expect(await get('/app.js', { headers: { Range: 'bytes=90-' } })).toMatchObject({ status: 416 });
  const { headers } = await get('/app.js');
  const again = await get('/app.js', { headers: { 'If-None-Match': String(headers['etag']) } });
  expect(again).toMatchObject({ status: 304, body: '' });
});

it('adds the slash of a folder, on the same host', async () => {
  expect(await get('/docs?a=b')).toMatchObject({ status: 301, headers: { location: '/docs/?a=b' } });
  await mkdir(join(folder, 'evil.example'));
  await writeFile(join(folder, 'evil.example', 'index.html'), '');
  expect(await get('//evil.example')).toMatchObject({ headers: { location: '/evil.example/' } });
});

it.each([
  '/%2e%2e/%2e%2e/etc/passwd',
  '/..%2f..%2fetc%2fpasswd',
  '/%00',
  '/%',
  '/.env',
  '/%2eenv',
  '/docs/../.env',
  'http://[',
])('rejects %s', async (path) => {
  await writeFile(join(folder, '.env'), 'SECRET=1');
  const { status, body } = await get(path);
  expect({ status, isSecret: /SECRET|root:/.test(body) }).toEqual({ status: 404, isSecret: false });
});

it('accepts no other method', async () => {
  expect(await get('/app.js', { method: 'POST' })).toMatchObject({
    status: 405,
    headers: { allow: 'GET, HEAD' },
  });
});

it('survives a file that it cannot read', async (context) => {
  if (process.getuid?.() === 0) context.skip('root reads every file');
  await chmod(join(folder, 'app.js'), 0);
  expect((await get('/app.js')).status).toBe(500);
  expect((await get('/')).status).toBe(200);
});

it('sees changes at once', async () => {
  await writeFile(join(folder, 'app.js'), 'changed');
  expect((await get('/app.js')).body).toBe('changed');
});
