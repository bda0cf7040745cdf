import { readFileSync } from 'node:fs';
import { below, pick, randomBytes } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** The ClientHello parser. */

export async function load() {
  const { MAX_CLIENT_HELLO_BYTES, readClientHello } = await built('net/tls/client-hello.js');
  const fixtures = new URL('../../../test/fixtures/client-hellos.json', import.meta.url);
  const hellos = JSON.parse(readFileSync(fixtures, 'utf8')).map(({ hex }) => Buffer.from(hex, 'hex'));
  const large = intoRecords(
    withExtension(outOfRecords(hellos[0]), 4711, Buffer.alloc(20_000)),
    () => 2 ** 14,
  );

  return {
    corpus: [...hellos, large],
    mutations: [refragment, addExtension, editLength],
    check(input, random) {
      const verdict = timed(() => readClientHello(input));
      const later = (bytes) => readClientHello(Buffer.concat([input, randomBytes(random, bytes)]));
      if (verdict.kind === 'need') {
        assert(verdict.bytes > input.length, `need ${verdict.bytes} is not more than ${input.length}`);
        assert(verdict.bytes <= MAX_CLIENT_HELLO_BYTES, `need ${verdict.bytes} is out of range`);
        const missing = Math.min(verdict.bytes - input.length - 1, 100);
        assertSame(later(missing), verdict, 'need changed before the requested bytes arrived');
      } else {
        assertSame(later(below(random, 100)), verdict, 'bytes after the hello changed the verdict');
      }
      if (verdict.kind === 'hello') {
        const { serverName, alpn } = verdict;
        assert(serverName === undefined || isDnsName(serverName), `not a DNS name: ${serverName}`);
        assert(
          alpn.every((id) => id.length > 0 && id.length < 256),
          'a protocol id is out of range',
        );
        const prefix = readClientHello(input.subarray(0, below(random, input.length + 1)));
        if (prefix.kind !== 'need') assertSame(prefix, verdict, 'a prefix of the hello has another verdict');
      }
      return verdict.kind === 'invalid' ? `invalid: ${verdict.reason}` : verdict.kind;
    },
  };
}

const isDnsName = (name) =>
  name.length <= 253 && /^(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/.test(name);

/** The same handshake bytes in records of other sizes, from one record to slightly more than a hello may have. */
function refragment(random, input) {
  const handshake = outOfRecords(input);
  const records = pick(random, [1, 3, 30, 70]);
  return intoRecords(handshake, () => 1 + below(random, (2 * handshake.length) / records));
}

/** Adds an extension and corrects every length around it, so that the parser reads its contents. */
function addExtension(random, input) {
  const type = pick(random, [0, 0, 16, 16, 21, 0x0a0a, below(random, 2 ** 16)]);
  const content = pick(random, [
    () => randomBytes(random, below(random, 40)),
    () => nameList(0, Buffer.from(pick(random, NAMES), 'latin1')),
    () => nameList(below(random, 3), randomBytes(random, below(random, 300))),
    () =>
      vector(
        2,
        Buffer.concat([vector(1, Buffer.from('h2')), vector(1, randomBytes(random, below(random, 256)))]),
      ),
  ])();
  return intoRecords(withExtension(outOfRecords(input), type, content), () => 2 ** 14);
}

const NAMES = [
  'a',
  'A.Example.',
  '127.0.0.1',
  '::1',
  '-a',
  'a..b',
  '',
  '.',
  'a_b.test',
  'a'.repeat(64),
  'ab.'.repeat(85),
];
const nameList = (type, name) => vector(2, Buffer.concat([Buffer.from([type]), vector(2, name)]));

/** Changes a field in which real hellos have a length. */
function editLength(random, input) {
  const output = Buffer.from(input);
  const sessionId = 43;
  const ciphers = sessionId + 1 + (input[sessionId] ?? 0);
  const at = pick(random, [3, 4, 6, 7, 8, sessionId, ciphers, ciphers + 1, below(random, input.length)]);
  if (at < output.length)
    output[at] = pick(random, [0, 1, output[at] - 1, output[at] + 1, 0x40, 0x7f, 0xff]) & 0xff;
  return output;
}

/** The handshake message with `content` as its last extension. Returns other input unchanged. */
function withExtension(handshake, type, content) {
  let at = 4 + 2 + 32;
  at += 1 + (handshake[at] ?? 0);
  at += 2 + (at + 2 <= handshake.length ? handshake.readUInt16BE(at) : 0);
  at += 1 + (handshake[at] ?? 0);
  if (at + 2 > handshake.length) return handshake;
  const typeField = Buffer.from([type >> 8, type & 0xff]);
  const extensions = Buffer.concat([handshake.subarray(at + 2), typeField, vector(2, content)]);
  if (extensions.length >= 2 ** 16) return handshake;
  return Buffer.concat([
    Buffer.from([1]),
    vector(3, Buffer.concat([handshake.subarray(4, at), vector(2, extensions)])),
  ]);
}

function outOfRecords(records) {
  const fragments = [];
  for (let at = 0; at + 5 <= records.length;) {
    const end = at + 5 + records.readUInt16BE(at + 3);
    fragments.push(records.subarray(at + 5, end));
    at = end;
  }
  return Buffer.concat(fragments);
}

function intoRecords(handshake, size) {
  const records = [];
  for (let at = 0; at < handshake.length;) {
    const end = at + size();
    records.push(Buffer.from([22, 3, 1]), vector(2, handshake.subarray(at, end)));
    at = end;
  }
  return Buffer.concat(records);
}

function vector(width, content) {
  const length = Buffer.alloc(width);
  length.writeUIntBE(content.length, 0, width);
  return Buffer.concat([length, content]);
}
