import { array, assert, constantFrom, nat, property, string } from 'fast-check';
import { expect, it } from 'vitest';
import { H1Exchange } from './h1-exchange.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const CHUNKS = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** `>` marks what the visitor sends, `<` what the target sends. */
function afterAll(...texts: string[]): boolean {
  const exchange = new H1Exchange();
  for (const text of texts) say(exchange, text);
  return exchange.isComplete;
}

function say(exchange: H1Exchange, text: string): void {
  // Surrounded by other bytes, as in a shared buffer.
  const bytes = Buffer.from(`\r\n${text.slice(1)}\r\n\r\n`, 'latin1');
  if (text.startsWith('>')) exchange.visitorSent(bytes, 2, bytes.length - 4);
  else exchange.targetSent(bytes, 2, bytes.length - 4);
}

it.each([
  ['a response of known length', [`>${GET}`, `<${OK}`]],
  ['a response in pieces', [`>${GET}`, `<${OK.slice(0, -1)}`, '<k']],
  ['a chunked response', [`>${GET}`, `<${CHUNKS}`, '<2;a=b\r\nok\r\n0', '<\r\n\r\n']],
  ['trailers', [`>${GET}`, `<${CHUNKS}0\r\nChecksum: ${'x'.repeat(99)}\r\n`, '<\r\n']],
  ['interim responses', [`>${GET}`, `<HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}`]],
  ['HEAD', [`>HEAD / HTTP/1.1\r\n\r\n`, '<HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n']],
  ['304', [`>${GET}`, '<HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n']],
  ['a body', ['>PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\n12', '>34', `<${OK}`]],
  ['an early response', ['>PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\n12', `<${OK}`, '>34']],
  [
    '100 Continue',
    [
      '>PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n',
      '<HTTP/1.1 100 Continue\r\n\r\n',
      '>1\r\na\r\n0\r\n\r\n',
      `<${OK}`,
    ],
  ],
  ['an upgrade that is declined', ['>GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n', `<${OK}`]],
])('detects the end of an exchange with %s, and not earlier', (_, texts) => {
  const exchange = new H1Exchange();
  for (const text of texts) {
    expect(exchange.isComplete).toBe(false);
    say(exchange, text);
  }
  expect(exchange.isComplete).toBe(true);
});

it.each([
  ['a request after it', [`>${GET}`, `>${GET}`, `<${OK}`]],
  ['two requests at once', [`>${GET}${GET}`, `<${OK}`]],
  ['two responses', [`>${GET}`, `<${OK}${OK}`]],
  ['a body until the end', [`>${GET}`, '<HTTP/1.1 200 OK\r\n\r\nok']],
  ['two lengths', [`>${GET}`, '<HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok']],
  ['a length and chunks', [`>${GET}`, `<${CHUNKS.replace('\r\n', '\r\nContent-Length: 5\r\n')}0\r\n\r\n`]],
  ['another coding', [`>${GET}`, `<${CHUNKS.replace('chunked', 'gzip, chunked')}0\r\n\r\n`]],
  ['a chunk without a size', [`>${GET}`, `<${CHUNKS}\r\n\r\n0\r\n\r\n`]],
  ['a chunk that looks like the last', [`>${GET}`, `<${CHUNKS}7\r\n\r\n0\r\n\r\n`]],
  ['an upgrade', [`>${GET}`, '<HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n']],
  ['CONNECT', ['>CONNECT a:1 HTTP/1.1\r\n\r\n', `<${OK}`]],
  ['HTTP/1.0', [`>${GET.replace('1.1', '1.0')}`, `<${OK}`]],
  ['an HTTP/1.0 response', [`>${GET}`, `<${OK.replace('1.1', '1.0')}`]],
  ['a head in pieces', [`>${GET.slice(0, 20)}`, `>${GET.slice(20)}`, `<${OK}`]],
  ['no request', ['>EHLO example.com\r\n\r\n', `<${OK}`]],
])('detects no end with %s', (_, texts) => {
  expect(afterAll(...texts)).toBe(false);
});

it('detects the end of chunks with any content and any split', () => {
  const pieces = array(string({ minLength: 1, unit: constantFrom('\r', '\n', '0', '1', 'a') }));
  assert(
    property(pieces, array(nat({ max: 300 })), (data, cuts) => {
      const chunks = data.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
      const body = `${chunks}0\r\n\r\n`;
      const exchange = new H1Exchange();
      say(exchange, `>${GET}`);
      say(exchange, `<${CHUNKS}`);
      const ends = [...new Set(cuts.filter((cut) => cut < body.length)), body.length].toSorted(
        (a, b) => a - b,
      );
      let start = 0;
      for (const end of ends) {
        expect(exchange.isComplete).toBe(false);
        say(exchange, `<${body.slice(start, end)}`);
        start = end;
      }
      expect(exchange.isComplete).toBe(true);
    }),
  );
});

it.each([
  [OK, OK.replace('\r\n', '\r\nConnection: close\r\n')],
  [
    'HTTP/1.1 200\r\nconnection: Keep-Alive\r\nDate: x\r\nKeep-Alive: timeout=5\r\n\r\nConnection: keep-alive\r\n',
    'HTTP/1.1 200\r\nConnection: close\r\nDate: x\r\n\r\nConnection: keep-alive\r\n',
  ],
  [
    'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 426 Upgrade\r\nConnection: upgrade\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 426 Upgrade\r\nConnection: close\r\nConnection: upgrade\r\n\r\n',
  ],
  ['HTTP/1.1 103 Early Hints\r\n\r\n', undefined],
  ['HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n', undefined],
  ['HTTP/1.1 200 OK\r\nContent-', undefined],
])('marks the response %j as the last: %j', (answer, amended) => {
  const exchange = new H1Exchange();
  const bytes = Buffer.from(`xx${answer}\r\n\r\n`, 'latin1');
  const closing = () => exchange.closing(bytes, 2, bytes.length - 4)?.toString('latin1');
  expect(closing()).toBeUndefined();
  say(exchange, `>${GET}`);
  expect(closing()).toBe(amended);
  say(exchange, `<${answer}`);
});
