/**
 * Throws a lot of broken input at what reads from strangers: `npm run fuzz -- [--target NAME] [--runs N]
 * [--seed N]`, over the built dist/modules/. The same seed makes the same inputs. On a failure it prints the seed, keeps
 * the input as hex, and exits 1; `--replay FILE` runs that one input again. To fuzz another reader, add an entry to `targets`.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * @typedef {() => number} Random a float in [0, 1)
 *
 * @typedef {object} Target
 * @property {() => Promise<Loaded>} load
 *
 * @typedef {object} Loaded
 * @property {Buffer[]} corpus good inputs, which the mutations start from
 * @property {((random: Random, input: Buffer) => Buffer)[]} mutations that know the format; the general ones come by themselves
 * @property {(input: Buffer, random: Random) => string} check the name of the verdict, for the histogram; throws
 *   when an invariant does not hold
 */

/** @type {Record<string, Target>} */
const targets = {
  'client-hello': { load: loadClientHello },
  'control-message': { load: loadControlMessage },
  'datagram-frames': { load: loadDatagramFrames },
  'datagram-packets': { load: loadDatagramPackets },
};

/** A call that takes longer than this lets a stranger stall the process. */
const MAX_CALL_MS = 50;

// --- the ClientHello parser

async function loadClientHello() {
  const { MAX_CLIENT_HELLO_BYTES, readClientHello } = await built('net/client-hello.js');
  const fixtures = new URL('../test/fixtures/client-hellos.json', import.meta.url);
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
        assert(verdict.bytes <= MAX_CLIENT_HELLO_BYTES, `need ${verdict.bytes} is out of bounds`);
        const missing = Math.min(verdict.bytes - input.length - 1, 100);
        assertSame(later(missing), verdict, 'need changed before what it asked for was there');
      } else {
        assertSame(later(below(random, 100)), verdict, 'the verdict changed with bytes after the hello');
      }
      if (verdict.kind === 'hello') {
        const { serverName, alpn } = verdict;
        assert(serverName === undefined || isDnsName(serverName), `not a DNS name: ${serverName}`);
        assert(
          alpn.every((id) => id.length > 0 && id.length < 256),
          'a protocol id is out of bounds',
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

/** The same handshake bytes in records of other sizes: from one to a few more than a hello may have. */
function refragment(random, input) {
  const handshake = outOfRecords(input);
  const records = pick(random, [1, 3, 30, 70]);
  return intoRecords(handshake, () => 1 + below(random, (2 * handshake.length) / records));
}

/** One more extension, with every length around it right, so that what is in it gets read. */
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

/** Another value in a place where real hellos keep a length. */
function editLength(random, input) {
  const output = Buffer.from(input);
  const sessionId = 43;
  const ciphers = sessionId + 1 + (input[sessionId] ?? 0);
  const at = pick(random, [3, 4, 6, 7, 8, sessionId, ciphers, ciphers + 1, below(random, input.length)]);
  if (at < output.length)
    output[at] = pick(random, [0, 1, output[at] - 1, output[at] + 1, 0x40, 0x7f, 0xff]) & 0xff;
  return output;
}

/** The handshake message with `content` as its last extension; anything else comes back as it was. */
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

// --- the decoders of control messages

async function loadControlMessage() {
  const { decodeFromAgent, decodeFromRelay, encode } = await built('protocol/decode.js');
  const { PortalError } = await built('lib/errors.js');
  const decoders = { agent: decodeFromAgent, relay: decodeFromRelay };
  // Most inputs are refused, and where each time would cost more than all the rest.
  Error.stackTraceLimit = 0;

  return {
    corpus: CONTROL_MESSAGES.map((message) => Buffer.from(JSON.stringify(message))),
    mutations: [(random, input) => replaceValue(random, input), addKey, addKey, nest],
    check(input) {
      const verdicts = Object.entries(decoders).map(([side, decode]) => {
        let message;
        try {
          message = timed(() => decode(input));
        } catch (error) {
          assert(error instanceof PortalError && error.code === 'protocol', `threw ${error}`);
          return `${side}: refused`;
        }
        assertSame(decode(encode(message)), message, 'a decoded message is not its own encoding');
        assert({}.polluted === undefined, 'the prototype of all objects was changed');
        return `${side}: ${message.type}`;
      });
      return verdicts.join(', ');
    },
  };
}

const CONTROL_MESSAGES = [
  {
    type: 'hello',
    protocol: 1,
    agent: { instance: 'i', version: '1' },
    address: `0x${'aB'.repeat(20)}`,
    nonce: 'ab'.repeat(16),
  },
  { type: 'prove', signature: `0x${'1b'.repeat(65)}` },
  { type: 'lease.open', id: 1, name: 'web', mode: 'stream', carrier: 'raw', metadata: { owner: 'team' } },
  { type: 'lease.close', id: 2, lease: 'l' },
  { type: 'lease.update', id: 3, lease: 'l', metadata: {} },
  { type: 'challenge', message: 'localhost wants you to sign in' },
  {
    type: 'welcome',
    session: 's',
    domain: 'localhost',
    publicPort: 443,
    capabilities: ['stream'],
    carriers: ['raw', 'tls'],
    heartbeatMs: 5000,
    graceMs: 30_000,
  },
  { type: 'lease.opened', id: 1, lease: 'l', hostname: 'web.localhost', url: 'https://web.localhost' },
  { type: 'ok', id: 2 },
  { type: 'error', id: 3, code: 'name_taken', message: 'taken', retryAfterMs: 5000 },
  { type: 'dial', carrier: 'raw', tickets: [{ connection: 'c', ticket: 't' }] },
  {
    type: 'visit',
    connection: 'c',
    lease: 'l',
    remote: { address: '::1', port: 1 },
    serverName: 'web.localhost',
  },
  { type: 'lease.revoked', lease: 'l', reason: 'r' },
  { type: 'goaway', reason: 'r', reconnectAfterMs: 1 },
];

const VALUES = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e400',
  '9007199254740993',
  '""',
  '"x"',
  '[]',
  '{}',
  '"\\ud800"',
  '{"__proto__":{"polluted":1}}',
];
const KEYS = ['__proto__', 'constructor', 'toString', 'type', 'id', 'metadata', 'tickets', ''];

/** Another value in place of one that JSON text may have after a colon, comma or bracket. */
function replaceValue(random, input, value = pick(random, VALUES)) {
  const text = input.toString('latin1');
  const places = [...text.matchAll(/(?<=[:,[])("(?:[^"\\]|\\.)*"|[\d.e-]+|\[\]|\{\})/g)];
  if (places.length === 0) return input;
  const { index, 0: old } = pick(random, places);
  return Buffer.from(text.slice(0, index) + value + text.slice(index + old.length), 'latin1');
}

function nest(random, input) {
  const depth = below(random, pick(random, [4, 4, 4, 50, 50, 2000]));
  const [open, close] = pick(random, [
    ['[', ']'],
    ['{"a":', '}'],
  ]);
  return replaceValue(random, input, `${open.repeat(depth)}1${close.repeat(depth)}`);
}

function addKey(random, input) {
  const text = input.toString('latin1');
  const at = text.indexOf('{', below(random, text.length + 1)) + 1;
  const comma = text[at] === '}' ? '' : ',';
  return Buffer.from(
    `${text.slice(0, at)}"${pick(random, KEYS)}":${pick(random, VALUES)}${comma}${text.slice(at)}`,
    'latin1',
  );
}

// --- mutations for any format

const generalMutations = [flipBit, setByte, truncate, cutOut, repeat, splice];

function flipBit(random, input) {
  const output = Buffer.from(input);
  if (output.length > 0) output[below(random, output.length)] ^= 1 << below(random, 8);
  return output;
}

function setByte(random, input) {
  const output = Buffer.from(input);
  if (output.length > 0)
    output[below(random, output.length)] = pick(random, [0, 1, 0x7f, 0x80, 0xff, below(random, 256)]);
  return output;
}

function truncate(random, input) {
  return input.subarray(0, below(random, input.length + 1));
}

function cutOut(random, input) {
  const at = below(random, input.length + 1);
  return Buffer.concat([input.subarray(0, at), input.subarray(at + below(random, 16))]);
}

function repeat(random, input) {
  const at = below(random, input.length + 1);
  const part = input.subarray(at, at + below(random, 64));
  return Buffer.concat([input.subarray(0, at), part, input.subarray(at)]);
}

function splice(random, input, corpus) {
  const other = pick(random, corpus);
  return Buffer.concat([
    input.subarray(0, below(random, input.length + 1)),
    other.subarray(below(random, other.length + 1)),
  ]);
}

// --- frames and packets of the datagram carriers

/** Counts what it is handed, and that no payload reaches beyond the input. */
function frameCounter(input) {
  const seen = [];
  const payloadFits = (payload) => {
    const start = payload.byteOffset - input.byteOffset;
    assert(
      payload.length === 0 || (start >= 0 && start + payload.length <= input.length),
      'a payload lies outside the input',
    );
  };
  const id = (name, value) => {
    assert(Number.isSafeInteger(value) && value >= 0, `${name} ${value} is no number to count with`);
    seen.push(name);
  };
  return {
    seen,
    sink: {
      probe: (sequence) => id('probe', sequence),
      probeAnswer: (sequence) => id('probeAnswer', sequence),
      opened: (flow) => id('opened', flow),
      close: (flow) => id('close', flow),
      open(flow, lease, { address, port }) {
        id('open', flow);
        assert(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(lease), `${lease} is no lease id`);
        assert(isIP(address) !== 0, `${address} is no address`);
        assert(port >= 0 && port <= 65_535, `${port} is no port`);
      },
      data(flow, payload) {
        id('data', flow);
        payloadFits(payload);
      },
      fragment(flow, datagram, index, count, payload) {
        id('fragment', flow);
        id('fragment', datagram);
        assert(index < count && count >= 2 && count <= 64, `piece ${index} of ${count}`);
        assert(payload.length > 0, 'an empty piece');
        payloadFits(payload);
      },
    },
  };
}

async function loadDatagramFrames() {
  const { encodeOpening, readFrames } = await built('protocol/datagrams/frames.js');
  const { FrameWriter } = await built('protocol/datagrams/writer.js');
  const { Reassembly } = await built('protocol/datagrams/reassembly.js');
  const corpus = [];
  const path = { maxBytes: 600, send: (frames) => corpus.push(Buffer.from(frames)) > 0 };
  const writer = new FrameWriter(
    path,
    () => undefined,
    () => undefined,
  );
  const lease = '6f0c1d1e-3f0a-4b52-8b0f-0123456789ab';
  for (const address of ['192.0.2.7', '2001:db8::7']) {
    const opening = encodeOpening(lease, { address, port: 53 });
    for (const [flow, size] of [
      [1, 0],
      [70, 100],
      [20_000, 400],
      [2 ** 40, 5_000],
    ]) {
      writer.data(flow, Buffer.alloc(size, 7), opening);
      writer.flush();
      writer.data(flow, Buffer.alloc(size, 7));
      writer.opened(flow);
      writer.probe(flow, true);
      writer.flush();
      writer.probeAnswer(flow);
      writer.close(flow);
      writer.flush();
    }
  }
  // One for all inputs: what a peer says over a long time must not add up.
  let now = 0;
  const reassembly = new Reassembly(() => undefined);
  return {
    corpus,
    mutations: [],
    check(input) {
      const { seen, sink } = frameCounter(input);
      const whole = timed(() => readFrames(input, sink));
      readFrames(input, {
        ...sink,
        fragment(flow, datagram, index, count, payload) {
          const put = reassembly.add(flow, datagram, index, count, payload, now++);
          assert(put === undefined || put.length <= 65_507, 'more than a datagram was put together');
          assert(reassembly.size <= 4_096, 'too many wait for pieces');
        },
      });
      return `${whole ? 'whole' : 'malformed'}, ${seen.length > 0 ? seen.at(-1) : 'nothing'}`;
    },
  };
}

async function loadDatagramPackets() {
  const { PacketOpener, PacketSealer } = await built('protocol/datagrams/packets.js');
  const keys = {
    secret: Buffer.alloc(32, 1),
    association: Buffer.from('fuzzing!'),
    direction: 'agent to relay',
  };
  const sealer = new PacketSealer(keys);
  const corpus = [0, 1, 100, 1_100].map((size) => Buffer.concat(sealer.seal(Buffer.alloc(size, size))));
  const genuine = new Set(corpus.map((packet) => packet.toString('latin1')));
  return {
    corpus,
    mutations: [],
    check(input) {
      // A fresh one for each call, also where timed() repeats one: else the first decides what is a replay.
      let opener;
      const opened = timed(() => (opener = new PacketOpener(keys)).open(input));
      const isGenuine = genuine.has(input.toString('latin1'));
      assert(
        Buffer.isBuffer(opened) === isGenuine,
        'what was not sealed here was opened, or the other way round',
      );
      if (isGenuine) assert(opener.open(input) === 'replayed', 'a packet was opened twice');
      return isGenuine ? 'opened' : opened;
    },
  };
}

// --- chance, reproducible

/** mulberry32: small, fast, and good enough to choose mutations. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random, bound) => Math.floor(random() * bound);
const pick = (random, list) => list[below(random, list.length)];

function randomBytes(random, length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = below(random, 256);
  return bytes;
}

// --- the run

/** One input: mostly a good one broken in a few places, now and then noise from its first byte or after a good start. */
function makeInput(random, { corpus, mutations }) {
  const kind = random();
  if (kind < 0.03) return randomBytes(random, below(random, 300));
  const seedInput = pick(random, corpus);
  if (kind < 0.1) {
    return Buffer.concat([seedInput.subarray(0, below(random, 64)), randomBytes(random, below(random, 300))]);
  }
  let input = seedInput;
  for (let left = below(random, 4); left >= 0; left--) {
    const mutate = pick(random, random() < 0.5 && mutations.length > 0 ? mutations : generalMutations);
    input = mutate(random, input, corpus);
  }
  return input;
}

function timed(call) {
  let best = Infinity;
  // A pause of the machine must not count as the call's: only one that is slow every time is slow.
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = performance.now();
    const result = call();
    best = Math.min(best, performance.now() - start);
    if (best <= MAX_CALL_MS) return result;
  }
  throw new Error(`a call took ${best.toFixed(1)} ms`);
}

function assert(condition, message) {
  if (!condition) throw new Error(message);
}

function assertSame(actual, expected, message) {
  const [is, was] = [JSON.stringify(actual), JSON.stringify(expected)];
  assert(is === was, `${message}: ${was} became ${is}`);
}

async function built(path) {
  const url = new URL(`../dist/modules/${path}`, import.meta.url);
  return import(url.href).catch((error) => {
    throw new Error(`${url.pathname} cannot be loaded; run \`npm run build\` first`, { cause: error });
  });
}

async function fuzz(name, { runs, seed }) {
  const target = await targets[name].load();
  const random = randomFrom(seed);
  const verdicts = new Map();
  const start = performance.now();
  for (let run = 1; run <= runs; run++) {
    const input = makeInput(random, target);
    const checkSeed = below(random, 2 ** 32);
    try {
      const verdict = target.check(input, randomFrom(checkSeed));
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    } catch (error) {
      const file = join(mkdtempSync(join(tmpdir(), 'portal-fuzz-')), `${name}.hex`);
      writeFileSync(file, `${input.toString('hex')}\n`);
      print(`${name}: FAILED at run ${run}, seed ${seed}: ${error.message}`);
      print(`  again: node scripts/fuzz.mjs --target ${name} --seed ${checkSeed} --replay ${file}`);
      return false;
    }
  }
  print(
    `${name}: ${runs} inputs, seed ${seed}, ${((performance.now() - start) / 1000).toFixed(1)} s, no failure`,
  );
  for (const [verdict, count] of [...verdicts].toSorted((a, b) => b[1] - a[1])) {
    print(`  ${String(count).padStart(9)}  ${verdict}`);
  }
  return true;
}

async function replay(name, file, seed) {
  const target = await targets[name].load();
  const input = Buffer.from(readFileSync(file, 'utf8').trim(), 'hex');
  print(`${name}: ${target.check(input, randomFrom(seed))}`);
}

const print = (line) => process.stdout.write(`${line}\n`);

function readOptions() {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true },
      runs: { type: 'string', default: '1000000' },
      seed: { type: 'string' },
      replay: { type: 'string' },
    },
  });
  const names = values.target ?? Object.keys(targets);
  const unknown = names.find((name) => !Object.hasOwn(targets, name));
  if (unknown !== undefined)
    throw new Error(`no target ${unknown}; there are: ${Object.keys(targets).join(', ')}`);
  const [runs, seed] = [Number(values.runs), Number(values.seed ?? Date.now() % 2 ** 32)];
  if (!Number.isSafeInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs} is not a count`);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Error(`--seed ${values.seed} is not a number from 0 up`);
  return { names, runs, seed, file: values.replay };
}

const { names, runs, seed, file } = readOptions();
for (const name of names) {
  if (file !== undefined) await replay(name, file, seed);
  else if (!(await fuzz(name, { runs, seed }))) process.exitCode = 1;
}
