import { createServer as createH2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ask, askH2, edge, h2Visitor, HOST, raw, rawTarget } from '../support/http-edge.js';

/** Limits and methods are the same over HTTP/1.1 and HTTP/2. */

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const count = (many: number): [string, string][] =>
  Array.from({ length: many }, (_, i): [string, string] => [`x-${i}`, '1']);

const cookies = (many: number, length = 1): string[] =>
  Array.from({ length: many }, (_, i) => `c${i}=${'x'.repeat(length)}`);

describe('a request whose head is', () => {
  it.each<[what: string, path: string, fields: [string, string][], status: number]>([
    ['within the limits', `/${'a'.repeat(30_000)}`, count(190), 200],
    ['of too many fields', '/', count(201), 431],
    ['of far too many fields', '/', count(1_200), 431],
    ['too long in its path', `/${'a'.repeat(33_000)}`, [], 431],
    ['far too long in its path', `/${'a'.repeat(60_000)}`, [], 431],
    ['too long in a field', '/', [['x-long', 'a'.repeat(33_000)]], 431],
    ['too long in all', `/${'a'.repeat(17_000)}`, [['x-long', 'a'.repeat(17_000)]], 431],
  ])('%s', async (_what, path, fields, status) => {
    const target = await rawTarget(OK);
    const at = await edge({ '/': target.port });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const text = await raw(at, `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n${lines}\r\n`);
    expect(Number(text.slice(9, 12))).toBe(status);
    const visitor = await h2Visitor(at);
    expect(await askH2(visitor, { ':path': path, ...Object.fromEntries(fields) })).toMatchObject({ status });
  });

  it('counts many cookies, as browsers send them over HTTP/2, as one', async () => {
    const target = await rawTarget(OK);
    const visitor = await h2Visitor(await edge({ '/': target.port }));
    const cookie = Array.from({ length: 300 }, (_, i) => `c${i}=1`);
    expect(await askH2(visitor, { ':path': '/', cookie })).toMatchObject({ status: 200 });
    expect(target.received[0]).toContain(cookie.join('; '));
  });
});

describe('a response with too large headers is a 502 with that reason, over both versions:', () => {
  it.each<[what: string, setCookie: string[]]>([
    ['more than 200 Set-Cookie', cookies(201)],
    ['longer than 32 KiB', cookies(20, 2_000)],
  ])('%s', async (_what, setCookie) => {
    const lines = setCookie.map((value) => `Set-Cookie: ${value}\r\n`).join('');
    const h1 = await rawTarget(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`);
    const server = createH2().on('stream', (stream) => {
      stream.respond({ ':status': 200, 'set-cookie': setCookie });
      stream.end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    for (const port of [h1.port, (server.address() as AddressInfo).port]) {
      const at = await edge({ '/': port });
      const answers = [
        await ask(at, '/'),
        await ask(at, '/', { method: 'POST', body: 'x' }),
        await askH2(await h2Visitor(at), { ':path': '/' }),
      ];
      for (const { status, body } of answers) {
        expect(status).toBe(502);
        expect(body).toContain('Response headers too large');
      }
    }
  });

  it('and a response within the limits gets through', async () => {
    const lines = cookies(100, 100)
      .map((value) => `Set-Cookie: ${value}\r\n`)
      .join('');
    const target = await rawTarget(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`);
    const at = await edge({ '/': target.port });
    expect((await ask(at, '/')).headers['set-cookie']).toHaveLength(100);
    const { headers } = await askH2(await h2Visitor(at), { ':path': '/' });
    expect(headers['set-cookie']).toHaveLength(100);
  });
});

describe('the method', () => {
  it.each(['PROPFIND', 'PURGE', 'M-SEARCH', 'LINK'])('%s gets through over both versions', async (method) => {
    const target = await rawTarget(OK);
    const at = await edge({ '/': target.port });
    expect(await ask(at, '/', { method })).toMatchObject({ status: 200 });
    expect(await askH2(await h2Visitor(at), { ':path': '/', ':method': method })).toMatchObject({
      status: 200,
    });
    expect(target.received.map((text) => text.split(' ', 1)[0])).toEqual([method, method]);
  });

  it.each(['BREW', 'VERSION-CONTROL', 'X_1'])(
    '%s gets through over HTTP/2, and is 501 over HTTP/1.1',
    async (method) => {
      const target = await rawTarget(OK);
      const at = await edge({ '/': target.port });
      const visitor = await h2Visitor(at);
      expect(await askH2(visitor, { ':path': '/', ':method': method })).toMatchObject({ status: 200 });
      expect(await askH2(visitor, { ':path': '/', ':method': method }, 'body')).toMatchObject({
        status: 200,
      });
      expect(target.received.map((text) => text.split(' ', 1)[0])).toEqual([method, method]);
      expect(await raw(at, `${method} / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 501 /);
    },
  );

  it.each([
    ['SOURCE /live ICE/1.0', ''],
    ['SOURCE /live HTTP/1.0', ''],
    ['DESCRIBE /live RTSP/1.0', 'CSeq: 1\r\n'],
    ['OPTIONS /live RTSP/1.0', 'CSeq: 1\r\n'],
    ['GET /live RTSP/1.0', 'CSeq: 1\r\n'],
  ])('and version of %s are rejected', async (line, fields) => {
    const target = await rawTarget(OK);
    const text = await raw(await edge({ '/': target.port }), `${line}\r\nHost: ${HOST}\r\n${fields}\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 505 /);
    expect(target.received).toEqual([]);
  });

  it.each(['OPTIONS *', `OPTIONS https://${HOST}`])('%s gets a response from Portal', async (line) => {
    const target = await rawTarget(OK);
    const at = await edge({ '/': target.port });
    const text = await raw(at, `${line} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 204 /);
    expect(target.received).toEqual([]);
  });

  it.each([`OPTIONS https://${HOST}/`, `OPTIONS https://${HOST}?x`, `GET https://${HOST}`])(
    '%s reaches the target',
    async (line) => {
      const target = await rawTarget(OK);
      const at = await edge({ '/': target.port });
      const text = await raw(at, `${line} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
      expect(target.received[0]).toMatch(/^(OPTIONS \/(\?x)?|GET \/) HTTP/);
    },
  );
});
