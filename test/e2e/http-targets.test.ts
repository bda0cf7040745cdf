import { createServer as createHttp, type RequestListener } from 'node:http';
import { createSecureServer, createServer as createH2c } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { ask, askH2, edge, h2Visitor } from '../support/http-edge.js';
import { temporaryFolder } from '../support/folder.js';

/** Reports the request, and its HTTP version. */
const mirror: RequestListener = (request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => response.end(`${request.httpVersion} ${request.method} ${request.url} ${body}`));
};

async function listening(server: Server, at: number | string = 0): Promise<number> {
  await new Promise<void>((resolve) => {
    if (typeof at === 'string') server.listen(at, resolve);
    else server.listen(at, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  const address = server.address() as AddressInfo | string;
  return typeof address === 'string' ? 0 : address.port;
}

it('a target with https:// gets TLS, with HTTP/1.1, and with HTTP/2 for gRPC', async () => {
  const certificate = await (await openLocalCa(await temporaryFolder())).issue(['localhost']);
  const one = createHttps(certificate, mirror);
  const two = createSecureServer({ ...certificate, allowHTTP1: true }, mirror as never);
  const [plain, both] = [await listening(one), await listening(two)];
  const at = await edge({ '/one': `https://127.0.0.1:${plain}`, '/two': `https://localhost:${both}` });
  expect((await ask(at, '/one/x')).body).toBe('1.1 GET /x ');
  expect((await ask(at, '/one/x', { method: 'POST', body: 'hello' })).body).toBe('1.1 POST /x hello');
  const visitor = await h2Visitor(at);
  const grpc = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
  expect((await askH2(visitor, { ':path': '/two/x' })).body).toBe('1.1 GET /x ');
  expect((await askH2(visitor, { ':path': '/two/x', ...grpc }, 'hello')).body).toBe('2.0 POST /x hello');
  expect((await askH2(visitor, { ':path': '/one/x', ...grpc }, 'hello')).body).toBe('1.1 POST /x hello');
  visitor.destroy();
});

it('a target on a Unix socket works like others', async () => {
  const path = join(await temporaryFolder(), 'app.sock');
  await listening(createHttp(mirror), path);
  const at = await edge({ '/': { to: `unix:${path}`, host: 'target' } });
  expect((await ask(at, '/x')).body).toBe('1.1 GET /x ');
  expect((await ask(at, '/x', { method: 'POST', body: 'hello' })).body).toBe('1.1 POST /x hello');
});

it('a target that speaks only HTTP/2 without TLS gets HTTP/2, whatever the visitor speaks', async () => {
  const at = await edge({ '/': await listening(createH2c(mirror as never)) });
  expect((await ask(at, '/x')).body).toBe('2.0 GET /x ');
  expect((await ask(at, '/x', { method: 'POST', body: 'hello' })).body).toBe('2.0 POST /x hello');
  const visitor = await h2Visitor(at);
  expect((await askH2(visitor, { ':path': '/x' })).body).toBe('2.0 GET /x ');
});
