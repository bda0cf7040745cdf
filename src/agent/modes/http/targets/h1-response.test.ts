import { once } from 'node:events';
import { request } from 'node:http';
import { Duplex } from 'node:stream';
import { array, assert, constantFrom, nat, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadOverflowError, NotHttp1Error, ResponseReader, type ResponseSink } from './h1-response.js';
import { HTTP_LIMITS } from '../limits.js';

/** What a reader reported about `bytes`, which arrive in the given parts. */
function read(parts: readonly (string | Buffer)[], method = 'GET') {
  const seen = { interim: [] as number[], head: '', body: '', end: undefined as string | undefined };
  const sink: ResponseSink = {
    onInterim: (status) => seen.interim.push(status),
    onHead: ({ status, reason, headers }) => (seen.head = `${status} ${reason} ${headers.join('|')}`),
    onData: (chunk) => (seen.body += chunk.toString('latin1')),
    onEnd: (trailers) => (seen.end = trailers.join('|')),
  };
  const reader = new ResponseReader(HTTP_LIMITS);
  reader.expect(method, sink);
  let error: unknown;
  try {
    for (const part of parts) reader.read(Buffer.from(part as string, 'latin1'));
  } catch (thrown) {
    error = thrown;
  }
  return { ...seen, error, reader };
}

/** Whether Node's parser accepts the response, and its body. */
async function nodeReads(text: string): Promise<string | undefined> {
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const asked = request({ createConnection: () => socket, path: '/' });
  asked.end();
  const outcome = Promise.race([
    once(asked, 'response').then(async ([response]) => {
      let body = '';
      for await (const chunk of response) body += String(chunk);
      return body;
    }),
    once(asked, 'upgrade').then(() => undefined),
    once(asked, 'error').then(() => undefined),
  ]).catch(() => undefined);
  socket.push(Buffer.from(text, 'latin1'));
  socket.push(null);
  return outcome;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

describe('a response that Node’s parser rejects', () => {
  it.each([
    ['a field that continues on the next line', `${OK}A: b\r\n c\r\nContent-Length: 2\r\n\r\nok`],
    ['a line end without CR', `${OK}A: b\nContent-Length: 2\r\n\r\nok`],
    ['two lengths', `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`],
    ['a list of lengths', `${OK}Content-Length: 2, 2\r\n\r\nok`],
    ['a signed length', `${OK}Content-Length: +2\r\n\r\nok`],
    ['an empty length', `${OK}Content-Length:\r\n\r\nok`],
    [
      'a length and chunks',
      `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
    ],
    ['a space before the colon', `${OK}A : b\r\nContent-Length: 2\r\n\r\nok`],
    ['a field without a name', `${OK}: b\r\nContent-Length: 2\r\n\r\nok`],
    ['a field without a colon', `${OK}abc\r\nContent-Length: 2\r\n\r\nok`],
    ['a control character', `${OK}A: b\x01c\r\nContent-Length: 2\r\n\r\nok`],
    ['NUL', `${OK}A: b\0c\r\nContent-Length: 2\r\n\r\nok`],
    ['another version', 'HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a version in lower case', 'http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['two spaces before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.7\r\n\r\n'],
    ['a change of protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['a space after a chunk size', `${CHUNKED}2 \r\nok\r\n0\r\n\r\n`],
    ['a chunk size without digits', `${CHUNKED}\r\nok\r\n0\r\n\r\n`],
    ['a chunk size in other digits', `${CHUNKED}0x2\r\nok\r\n0\r\n\r\n`],
    ['a chunk size beyond 64 bits', `${CHUNKED}${'f'.repeat(17)}\r\nok\r\n0\r\n\r\n`],
    ['a chunk that is longer than its size', `${CHUNKED}1\r\nok\r\n0\r\n\r\n`],
    ['a chunk size that ends without CR', `${CHUNKED}2\nok\r\n0\r\n\r\n`],
    ['an invalid trailer', `${CHUNKED}2\r\nok\r\n0\r\nA : b\r\n\r\n`],
  ])('is rejected: %s', async (_, text) => {
    expect(await nodeReads(text)).toBeUndefined();
    expect(read([text]).error).toBeInstanceOf(Error);
  });
});

describe('a response that Node’s parser accepts', () => {
  it.each([
    ['no reason', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok'],
    ['an empty reason', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok'],
    ['a status without a meaning', 'HTTP/1.1 799 ?\r\nContent-Length: 2\r\n\r\nok'],
    ['blanks around a value', `${OK}Content-Length: \t2 \r\n\r\nok`],
    ['an interim response', `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`],
    ['a line end before it', `\r\n${OK}Content-Length: 2\r\n\r\nok`],
    ['chunks', `${CHUNKED}1\r\no\r\n01\r\nk\r\n0\r\n\r\n`],
    ['chunks in HTTP/1.0', `${CHUNKED.replace('1.1', '1.0')}2\r\nok\r\n0\r\n\r\n`],
    ['chunk extensions', `${CHUNKED}2;a=b;c="d e"\r\nok\r\n0;x\r\n\r\n`],
    ['a chunk size with many zeros', `${CHUNKED}${'0'.repeat(20)}2\r\nok\r\n0\r\n\r\n`],
    ['a body until the connection closes', `${OK}\r\nok`],
    [
      'an upgrade that it only offers',
      `${OK}Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok`,
    ],
  ])('has the same body: %s', async (_, text) => {
    expect(await nodeReads(text)).toBe('ok');
    expect(read([text])).toMatchObject({ body: 'ok', error: undefined });
  });

  it.each([
    ['an unknown transfer coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
    ['two transfer codings', `${CHUNKED.slice(0, -2)}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
    ['HTTP/0.9', 'HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a status below 100', 'HTTP/1.1 099 ?\r\nContent-Length: 2\r\n\r\nok'],
    ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok'],
    ['a length that no number can express', `${OK}Content-Length: ${'9'.repeat(17)}\r\n\r\nok`],
  ])('is rejected nevertheless: %s', (_, text) => {
    expect(read([text]).error).toBeInstanceOf(Error);
  });
});

it('reports head, body and trailers in order, whatever parts they arrive in', () => {
  const data = array(string({ minLength: 1, unit: constantFrom('\r', '\n', '0', '1', 'a') }));
  assert(
    property(data, nat({ max: 1 }), array(nat({ max: 400 })), (pieces, kind, cuts) => {
      const body = pieces.join('');
      const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
      const text =
        kind === 0
          ? `${OK}Content-Length: ${body.length}\r\n\r\n${body}`
          : `HTTP/1.1 102 Processing\r\n\r\n${CHUNKED}${chunks}0\r\nA: b\r\n\r\n`;
      const ends = [...new Set(cuts), text.length].toSorted((a, b) => a - b);
      const parts = ends.map((end, i) => text.slice(ends[i - 1] ?? 0, end));
      const { head, end, error, reader, ...seen } = read(parts);
      expect(error).toBeUndefined();
      expect(seen).toEqual({ body, interim: kind === 0 ? [] : [102] });
      expect(end).toBe(kind === 0 ? '' : 'A|b');
      expect(head).toMatch(/^200 OK (Content-Length|Transfer-Encoding)\|/);
      expect(reader).toMatchObject({ isIdle: true, isReusable: true });
    }),
  );
});

it.each([
  ['GET', `${OK}Content-Length: 2\r\n\r\nok`, true],
  ['GET', `${OK}Connection: x, Close\r\nContent-Length: 2\r\n\r\nok`, false],
  ['GET', `${OK}Connection: close-not\r\nContent-Length: 2\r\n\r\nok`, true],
  ['GET', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', false],
  ['GET', 'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok', true],
  ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n', true],
  ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', true],
  // A body that wrongly follows would be the next response.
  ['HEAD', `${OK}Content-Length: 2\r\n\r\n`, false],
])('after %s and %j the connection is reused: %s', (method, text, isReusable) => {
  expect(read([text], method).reader).toMatchObject({ isIdle: true, isReusable });
});

it.each([
  ['timeout=5, max=100', 5_000],
  ['max=100,TIMEOUT=7', 7_000],
  ['timeout', undefined],
])('reads the field Keep-Alive: %s', (value, keepAliveMs) => {
  const { reader } = read([`${OK}Keep-Alive: ${value}\r\nContent-Length: 0\r\n\r\n`]);
  expect(reader.keepAliveMs).toBe(keepAliveMs);
});

it.each([
  [`${OK}Content-Length: 2\r\n\r\nok${OK}`, 'ok'],
  [`HTTP/1.1 204 No Content\r\n\r\nok`, ''],
  [`${CHUNKED}0\r\n\r\nHTTP/1.1`, ''],
])('rejects what follows a response, which stays complete: %j', (text, body) => {
  expect(read([text])).toMatchObject({ body, end: '', error: expect.any(Error) });
});

it('accepts the length of a response without end', () => {
  const { head, body, error } = read([`${OK}Content-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`, 'ok']);
  expect({ head, body, error }).toMatchObject({
    head: '200 OK Content-Length|9007199254740991',
    body: 'ok',
    error: undefined,
  });
});

it('detects another protocol by its first bytes', () => {
  expect(read(['HTTP']).error).toBeUndefined();
  const { error } = read(['HTTP', '/2']);
  expect(error).toBeInstanceOf(NotHttp1Error);
  expect((error as NotHttp1Error).rawPacket.toString()).toBe('HTTP/2');
});

it('limits heads, trailers and chunk sizes', () => {
  const { maxHeadBytes } = HTTP_LIMITS;
  const field = `A: ${'x'.repeat(1_000)}\r\n`;
  const many = field.repeat(2 * (maxHeadBytes / 1_000));
  expect(read([OK, many]).error).toBeInstanceOf(HeadOverflowError);
  expect(read([`${OK}${many}\r\n`]).error).toBeInstanceOf(HeadOverflowError);
  expect(read([`${CHUNKED}0\r\n`, many]).error).toBeInstanceOf(Error);
  expect(read([`${CHUNKED}0;${'x'.repeat(2_000)}`]).error).toBeInstanceOf(Error);
});
