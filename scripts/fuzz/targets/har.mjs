import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { below, pick } from '../chance.mjs';
import { assert, assertSame, built } from '../check.mjs';

/** The HAR of a recorded exchange. Method, target, fields and bodies come from a visitor and a target. */

const SECRET = 'hunter2-hunter2';
const MAX_DECODED_BYTES = 8 * 1024;
const BODY = Buffer.from('{"name":"value","päth":[1,2,3]}');
/** Lines of a head, and a body after the first empty line. */
const exchange = (head, body = Buffer.alloc(0)) =>
  Buffer.concat([Buffer.from(`${head.join('\n')}\n\n`), body]);

const GOOD = [
  exchange(['GET', '/a?b=c&d=%20', 'a.example', `Authorization: Bearer ${SECRET}`]),
  exchange(['POST', '/', 'a.example', 'Content-Type: application/json'], BODY),
  exchange(['POST', '/z', 'a.example', 'Content-Encoding: gzip'], gzipSync(BODY)),
  exchange(['POST', '/z', 'a.example', 'Content-Encoding: br'], brotliCompressSync(BODY)),
  exchange(['PUT', '/z', 'a.example', 'Content-Encoding: deflate, gzip'], gzipSync(deflateSync(BODY))),
  exchange(['GET', '/bomb', 'a.example', 'Content-Encoding: gzip'], gzipSync(Buffer.alloc(100_000))),
  exchange(['GET', '/', 'a.example', `Cookie: sid=${SECRET}`, `Set-Cookie: sid=${SECRET}; Path=/`]),
  exchange(['GET', '/', 'a.example', `Location: /?${SECRET}`, 'Location: /x']),
];
const LINES = [
  'Content-Encoding: gzip',
  'content-encoding: identity, br, br, br',
  'Content-Type: text/html; charset=utf-16',
  `Set-Cookie: a=${SECRET}`,
  `location: https://a.example/?code=${SECRET}`,
  '__proto__: x',
  ': ',
  '',
];

function insertLine(random, input) {
  const lines = [...input.toString('latin1').matchAll(/\n/g)].map(({ index }) => index + 1);
  const at = pick(random, [0, ...lines]);
  return Buffer.concat([input.subarray(0, at), Buffer.from(`${pick(random, LINES)}\n`), input.subarray(at)]);
}

export async function load() {
  const { harEntry } = await built('agent/inspect/har.js');
  const { detailsOf } = await built('agent/inspect/view.js');
  const { CapturedBody } = await built('agent/inspect/recording.js');
  const mask = new Set(['location']);
  return {
    corpus: GOOD,
    mutations: [insertLine],
    async check(input, random) {
      const end = input.indexOf('\n\n');
      const head = input.toString('latin1', 0, end < 0 ? input.length : end).split('\n');
      const [method = '', target = '', authority = '', ...lines] = head;
      const headers = lines.flatMap((line) => [
        line.split(':', 1)[0],
        line.slice(line.indexOf(':') + 1).trim(),
      ]);
      const body = end < 0 ? Buffer.alloc(0) : input.subarray(end + 2);
      const recording = {
        id: 1,
        service: 'web',
        startedAt: 1,
        startedMs: 1,
        method,
        target,
        authority,
        hostname: 'a.example',
        remote: '192.0.2.1',
        version: '1.1',
        requestHeaders: headers,
        requestBody: CapturedBody.of(body, body.length + below(random, 2), undefined),
        requestTrailers: [],
        requestMs: random() * 10,
        upgrade: undefined,
        replayOf: undefined,
        outcome: 'done',
        status: 200,
        reason: 'OK',
        responseHeaders: headers,
        responseBody: CapturedBody.of(body, body.length, undefined),
        responseTrailers: [],
        ...(random() < 0.5 && { firstByteMs: random() * 10, totalMs: random() * 20 }),
      };
      const details = detailsOf(recording, { reveal: false, noReplay: undefined, mask });
      const entry = JSON.parse(JSON.stringify(await harEntry(recording, details, MAX_DECODED_BYTES)));
      assertSame(entry.request.headers.length, headers.length / 2, 'a field was lost');
      for (const time of [entry.time, ...Object.values(entry.timings)])
        assert(Number.isFinite(time) && time >= 0, `a time is ${time}`);
      for (const content of [entry.request.postData, entry.response.content]) {
        const { text = '', encoding } = content ?? {};
        const bytes = Buffer.from(text, encoding ?? 'utf8');
        assert(bytes.length <= MAX_DECODED_BYTES + body.length, `${bytes.length} bytes were decoded`);
        const isPlain = details.request.body.encoding === undefined;
        if (isPlain && content?.text !== undefined) assert(bytes.equals(body), 'the body changed');
      }
      const redirected = entry.response.redirectURL;
      const location = entry.response.headers.find(({ name }) => name.toLowerCase() === 'location')?.value;
      assertSame(redirected, location ?? '', 'a masked field is shown as redirectURL');
      return `${entry.response.content.encoding ?? (body.length > 0 ? 'text' : 'no body')}`;
    },
  };
}
