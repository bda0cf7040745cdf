import { describe, expect, it } from 'vitest';
import { ask, askH2, connectTo, edge, h2Visitor, HOST, raw, rawTarget } from '../support/http-edge.js';

/** Rejected requests, over raw sockets: what the visitor receives, and what the target received. */

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const HEAD = `Host: ${HOST}\r\nConnection: close\r\n`;

const CHUNKED = `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const many = (count: number): string => Array.from({ length: count }, (_, i) => `a${i}: 1\r\n`).join('');

describe('a request is rejected, and nothing reaches the target:', () => {
  it.each<[what: string, request: string, status: number]>([
    ['two lengths', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`, 400],
    ['one length twice', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`, 400],
    ['a list of lengths', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 3, 3\r\n\r\nabc`, 400],
    ['a signed length', `POST / HTTP/1.1\r\n${HEAD}Content-Length: +3\r\n\r\nabc`, 400],
    ['an empty length', `POST / HTTP/1.1\r\n${HEAD}Content-Length: \r\n\r\n`, 400],
    [
      'a length, then a coding',
      `POST / HTTP/1.1\r\n${HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    [
      'a coding, then a length',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
      400,
    ],
    [
      'a coding besides chunked',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      501,
    ],
    [
      'a coding after chunked',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
      400,
    ],
    [
      'chunked twice',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['nearly chunked', `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 501],
    [
      'chunked after a control character',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['a coding in HTTP/1.0', `POST / HTTP/1.0\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['a folded header', `GET / HTTP/1.1\r\n${HEAD}X: a\r\n b\r\n\r\n`, 400],
    ['a folded first header', `GET / HTTP/1.1\r\n X: a\r\n${HEAD}\r\n`, 400],
    ['bare LF', `GET / HTTP/1.1\nHost: ${HOST}\n\n`, 400],
    ['one bare LF', `GET / HTTP/1.1\r\n${HEAD}X: a\nY: b\r\n\r\n`, 400],
    ['a bare LF at the end', `GET / HTTP/1.1\r\n${HEAD}X: a\r\n\n`, 400],
    ['a bare CR', `GET / HTTP/1.1\r\n${HEAD}X: a\rY: b\r\n\r\n`, 400],
    ['NUL', `GET / HTTP/1.1\r\n${HEAD}X: a\0b\r\n\r\n`, 400],
    ['another control', `GET / HTTP/1.1\r\n${HEAD}X: a\x01b\r\n\r\n`, 400],
    ['a space before the colon', `GET / HTTP/1.1\r\n${HEAD}X : a\r\n\r\n`, 400],
    ['HTTP/2 that TLS did not negotiate', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ['no name', `GET / HTTP/1.1\r\n${HEAD}: a\r\n\r\n`, 400],
    ['two hosts', `GET / HTTP/1.1\r\n${HEAD}Host: other.example\r\n\r\n`, 400],
    ['one host twice', `GET / HTTP/1.1\r\n${HEAD}Host: ${HOST}\r\n\r\n`, 400],
    ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['another host', 'GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n', 421],
    ['another host in the target', `GET http://other.example/ HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['a host with a user in it', `GET / HTTP/1.1\r\nHost: x@${HOST}\r\nConnection: close\r\n\r\n`, 421],
    ['an unknown method', `FOO / HTTP/1.1\r\n${HEAD}\r\n`, 501],
    ['TRACE', `TRACE / HTTP/1.1\r\n${HEAD}\r\n`, 405],
    [
      'TRACE with an upgrade',
      `TRACE / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`,
      405,
    ],
    ['CONNECT', `CONNECT ${HOST}:443 HTTP/1.1\r\n${HEAD}\r\n`, 405],
    ['a fragment', `GET /a#b HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['a space in the target', `GET /a b HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['HTTP/1.2', `GET / HTTP/1.2\r\n${HEAD}\r\n`, 400],
    ['HTTP/2.0 in text', `GET / HTTP/2.0\r\n${HEAD}\r\n`, 505],
    ['HTTP/0.9', 'GET /\r\n\r\n', 505],
    ['an unknown expectation', `GET / HTTP/1.1\r\n${HEAD}Expect: miracles\r\n\r\n`, 417],
    ['too many headers', `GET / HTTP/1.1\r\n${HEAD}${many(300)}\r\n`, 431],
    ['headers that are too long', `GET / HTTP/1.1\r\n${HEAD}X: ${'a'.repeat(40_000)}\r\n\r\n`, 431],
    ['a target that is too long', `GET /${'a'.repeat(40_000)} HTTP/1.1\r\n${HEAD}\r\n`, 431],
    [
      'a body after an upgrade',
      `POST / HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc`,
      400,
    ],
  ])('%s', async (_what, request, status) => {
    const target = await rawTarget(OK);
    const at = await edge({ '/': target.port });
    const answer = await raw(at, request);
    expect(answer.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    // Only one response: nothing after the rejected request was parsed as another.
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(target.received).toEqual([]);
  });

  it.each<[what: string, body: string]>([
    ['not a number', 'zz\r\nabc\r\n0\r\n\r\n'],
    ['with a prefix', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['with a sign', '-3\r\nabc\r\n0\r\n\r\n'],
    ['with a space', '3 \r\nabc\r\n0\r\n\r\n'],
    ['too large for any machine', 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
    ['shorter than the chunk', '3\r\nabcd\r\n0\r\n\r\n'],
    ['before a bare LF', '3\nabc\r\n0\r\n\r\n'],
    ['with an extension before a bare LF', '3;a\nabc\r\n0\r\n\r\n'],
  ])('a chunk size %s: the target never receives the end of the request', async (_what, body) => {
    const target = await rawTarget(() => undefined);
    const at = await edge({ '/': target.port });
    const answer = await raw(at, CHUNKED + body);
    expect(answer === '' || answer.startsWith('HTTP/1.1 400 ')).toBe(true);
    for (const received of target.received) expect(received).not.toMatch(/\r\n0\r\n(.*\r\n)?\r\n$/s);
  });
});

describe('the target’s view of requests', () => {
  it('is rewritten: without chunk extensions and spaces, with the same body', async () => {
    const target = await rawTarget((received, socket) => {
      if (received.endsWith('0\r\n\r\n')) socket.end(OK);
    });
    const at = await edge({ '/': target.port });
    const answer = await raw(at, `${CHUNKED}3;name="va;lue"\r\nabc\r\n5;x\r\ndefgh\r\n0;last\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    const [head = '', body] = target.received[0]!.split(/\r\n\r\n(.*)/s);
    expect(head.match(/transfer-encoding: chunked/gi)).toHaveLength(1);
    expect(head).not.toMatch(/content-length/i);
    expect(body).toBe('3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n');
  });

  it('has one request for each, even if they arrive in one packet', async () => {
    const target = await rawTarget((received, socket) => {
      if (received.endsWith('\r\n\r\n')) socket.write(OK);
    });
    const at = await edge({ '/': target.port });
    const first = `GET /1 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
    const answer = await raw(at, `${first}GET /2 HTTP/1.1\r\n${HEAD}\r\nGET /3 HTTP/1.1\r\n${HEAD}\r\n`);
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(
      target.received
        .join('')
        .match(/GET \/\d/g)
        ?.toSorted(),
    ).toEqual(['GET /1', 'GET /2']);
  });

  it('has the path of an absolute form', async () => {
    const target = await rawTarget(OK);
    const at = await edge({ '/api': target.port });
    await raw(at, `GET http://${HOST}/api/x?y HTTP/1.1\r\n${HEAD}\r\n`);
    expect(target.received[0]).toMatch(/^GET \/x\?y HTTP\/1\.1\r\n/);
  });

  it('has no OPTIONS *, to which Portal responds', async () => {
    const target = await rawTarget(OK);
    const at = await edge({ '/': target.port });
    expect(await raw(at, `OPTIONS * HTTP/1.1\r\n${HEAD}\r\n`)).toMatch(/^HTTP\/1\.1 204 /);
    expect(target.received).toEqual([]);
  });

  it('has no trailers that affect framing, routing or the visitor’s identity', async () => {
    const target = await rawTarget((received, socket) => {
      if (/0\r\n(.+\r\n)*\r\n$/.test(received)) socket.end(OK);
    });
    const at = await edge({ '/': target.port });
    const trailers =
      'X-Sum: 1\r\nHost: evil\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: x\r\nConnection: x\r\n';
    await raw(at, `${CHUNKED}3\r\nabc\r\n0\r\n${trailers}\r\n`);
    expect(target.received[0]).toMatch(/0\r\nX-Sum: 1\r\n\r\n$/);
  });
});

describe('a response of the target is rejected, 502:', () => {
  const answers: [what: string, answer: string][] = [
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc'],
    [
      'a length and a coding',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a coding and a length',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n',
    ],
    ['a folded header', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    ['a bare CR in a header', 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n'],
    ['a bare LF in a header', 'HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n'],
    ['NUL in a header', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n'],
    ['headers that are too long', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(70_000)}\r\nContent-Length: 0\r\n\r\n`],
    [
      'a switch of protocols without a request',
      'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    ],
    ['not HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['nothing', ''],
  ];
  for (const method of ['GET', 'POST'] as const) {
    it.each(answers)(`${method}: %s`, async (_what, answer) => {
      const target = await rawTarget((received, socket) => {
        if (received.includes('\r\n\r\n')) socket.end(Buffer.from(answer, 'latin1'));
      });
      const at = await edge({ '/': target.port });
      const { status, headers } = await ask(at, '/', { method, ...(method === 'POST' && { body: 'x' }) });
      expect(status).toBe(502);
      expect(headers).not.toHaveProperty('set-cookie');
    });
  }

  it('a body shorter than its length is truncated, not ended', async () => {
    const target = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    const at = await edge({ '/': target.port });
    await expect(ask(at, '/')).rejects.toThrow(/aborted|hang up/);
    const visitor = await h2Visitor(at);
    await expect(askH2(visitor, { ':path': '/' })).rejects.toThrow(/reset|closed/i);
  });
});

describe('a slow visitor', () => {
  it('who does not finish a head gets a 408, and is disconnected', async () => {
    const at = await edge({ '/': 1 }, { bounds: { requestHeadMs: 200 } });
    expect(await raw(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\nX: `)).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('who sends nothing is disconnected, over either version', async () => {
    const at = await edge({ '/': 1 }, { bounds: { requestHeadMs: 200, keepAliveMs: 200 } });
    await raw(at, '');
    const two = await connectTo(at, 'h2');
    two.resume();
    await new Promise((resolve) => two.once('close', resolve));
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  });

  it('is not kept after its last request for longer than the timeout', async () => {
    const target = await rawTarget(OK);
    const at = await edge({ '/': target.port }, { bounds: { keepAliveMs: 200 } });
    expect(await raw(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  });
});
