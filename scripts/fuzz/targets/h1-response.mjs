import { request } from 'node:http';
import { Duplex } from 'node:stream';
import { below, pick } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** A target's response in HTTP/1.1, as mode http reads it, compared with Node's parser. */

const CORPUS = [
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nChecksum: x\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
  'HTTP/1.1 404\r\nConnection: close\r\n\r\nnot found',
];
const LINES = [
  'Content-Length: 3',
  'Content-Length: 5, 5',
  'Content-Length: 0x5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'transfer-encoding : chunked',
  'Connection: close',
  ' folded',
  'X: \x7f',
  '0',
  '3',
  '',
];

/** Inserts a line, or replaces one. */
function changeLine(random, input) {
  const lines = input.toString('latin1').split('\r\n');
  lines.splice(below(random, lines.length + 1), below(random, 2), pick(random, LINES));
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

/** Other line ends and blanks in one place. */
function changeEnd(random, input) {
  const to = pick(random, ['\n', '\r', '\r\r\n', '\r\n\r\n', ' \r\n', '\r\n ', '\t']);
  let left = below(random, 8);
  return Buffer.from(
    input.toString('latin1').replaceAll('\r\n', (end) => (left-- === 0 ? to : end)),
    'latin1',
  );
}

/** What Node's client reports; undefined if it rejects the response. */
function readWithNode(input) {
  return new Promise((resolve) => {
    const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const asked = request({ createConnection: () => socket, path: '/', maxHeaderSize: 64 * 1024 });
    const reject = () => resolve(undefined);
    asked.on('error', reject).on('upgrade', reject);
    asked.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => {
        const { statusCode, rawHeaders } = response;
        resolve([statusCode, rawHeaders, Buffer.concat(chunks).toString('latin1')]);
      });
    });
    asked.end();
    socket.push(input);
    socket.push(null);
  });
}

export async function load() {
  const { ResponseReader } = await built('agent/modes/http/targets/h1-response.js');
  const { UpstreamError } = await built('agent/modes/http/targets/dial.js');
  const { HTTP_LIMITS } = await built('agent/modes/http/limits.js');
  Error.stackTraceLimit = 0;

  /** What Portal reports about a response that arrives in these parts. */
  function read(parts) {
    const seen = { heads: [], body: '', end: false, isRejected: false };
    const reader = new ResponseReader(HTTP_LIMITS);
    reader.expect('GET', {
      onInterim: (status, headers) => seen.heads.push([status, headers]),
      onHead: ({ status, headers }) => seen.heads.push([status, headers]),
      onData: (chunk) => (seen.body += chunk.toString('latin1')),
      onEnd: () => (seen.end = true),
    });
    try {
      for (const part of parts) reader.read(part);
    } catch (error) {
      assert(error instanceof UpstreamError, `threw ${error}`);
      seen.isRejected = true;
    }
    return { ...seen, lastsUntilClose: reader.lastsUntilClose };
  }

  return {
    corpus: CORPUS.map((text) => Buffer.from(text, 'latin1')),
    mutations: [changeLine, changeEnd],
    async check(input, random) {
      const seen = timed(() => read([input]));
      const cuts = Array.from({ length: below(random, 5) }, () => below(random, input.length + 1));
      const ends = [...cuts.toSorted((a, b) => a - b), input.length];
      assertSame(read(ends.map((end, i) => input.subarray(ends[i - 1] ?? 0, end))), seen, 'parts matter');
      if (seen.isRejected) return seen.end ? 'complete, and more' : 'rejected';
      if (!seen.end && !seen.lastsUntilClose) return 'incomplete';
      // Node accepts only spaces there, and RFC 9110, section 5.6.3, also tabs.
      if (/^(content-length|transfer-encoding):[^\r]*\t/im.test(input.toString('latin1'))) return 'tab';
      const [status, headers] = seen.heads.at(-1);
      assertSame([status, headers, seen.body], await readWithNode(input), 'Node reads another response');
      return seen.end ? 'complete' : 'until the connection closes';
    },
  };
}
