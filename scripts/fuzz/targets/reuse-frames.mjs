import { Duplex } from 'node:stream';
import { below, pick } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** The frames of a data connection for several visitors, in fragments: the reader, and the connection of a relay. */

const frame = (type, payload = '') => {
  const header = Buffer.alloc(4);
  header[0] = type;
  header.writeUIntBE(payload.length, 1, 3);
  return Buffer.concat([header, Buffer.from(payload, 'latin1')]);
};
const [START, TICKET, DATA, END, RAW, START_RAW] = [1, 2, 3, 4, 5, 6];
const SHOWN = `${'n'.repeat(16)}.${'p'.repeat(43)}`;
const CORPUS = [
  [frame(DATA, 'answer'), frame(END), frame(TICKET, SHOWN)],
  [frame(TICKET, SHOWN), frame(DATA, 'answer'), frame(END)],
  [frame(DATA, 'x'.repeat(300)), frame(RAW), Buffer.from('unframed')],
  [frame(START), frame(DATA, 'question'), frame(END), frame(START_RAW), Buffer.from('unframed')],
];

const anyFrame = (random) =>
  frame(pick(random, [0, 1, 2, 3, 4, 5, 6, 7, 255]), 'a'.repeat(pick(random, [0, 0, 1, 60, 128, 129])));

/** Inserts a frame at the start, the end or the middle. */
function insertFrame(random, input) {
  const at = pick(random, [0, input.length, below(random, input.length + 1)]);
  return Buffer.concat([input.subarray(0, at), anyFrame(random), input.subarray(at)]);
}

/** The frames of all bytes at once, by a second reader: `[type, payload]`, with the payloads of data joined. */
function framesOf(bytes) {
  const found = [];
  const names = ['', 'start', 'ticket', 'data', 'end', 'raw', 'startRaw'];
  for (let at = 0; at + 4 <= bytes.length;) {
    const type = names[bytes[at]];
    const length = bytes.readUIntBE(at + 1, 3);
    const hasPayload = type === 'data' || type === 'ticket';
    if (!type || hasPayload !== length > 0 || (type === 'ticket' && length > 128))
      return [...found, ['malformed']];
    const payload = bytes.subarray(at + 4, at + 4 + length);
    if (type !== 'ticket' || payload.length === length) add(found, type, payload);
    at += 4 + length;
    if (type === 'raw' || type === 'startRaw') {
      if (at < bytes.length) add(found, 'data', bytes.subarray(at));
      return found;
    }
  }
  return found;
}

function add(found, type, payload) {
  if (type === 'data' && payload.length === 0) return;
  const last = found.at(-1);
  if (type === 'data' && last?.[0] === 'data') last[1] += payload.toString('latin1');
  else found.push([type, payload.toString('latin1')]);
}

/** The frames that a reader finds in `parts`, like `framesOf`. */
function read(reader, parts) {
  const found = [];
  for (const part of parts) {
    const isFine = reader.read(part, (type, payload) => add(found, type, payload) ?? true);
    if (!isFine) return [...found, ['malformed']];
  }
  return found;
}

/** A connection without a network. */
class Wire extends Duplex {
  constructor() {
    super({ allowHalfOpen: true });
  }

  _read() {}

  _write(_chunk, _encoding, done) {
    done();
  }

  resetAndDestroy() {
    return this.destroy();
  }
}

export async function load() {
  const { FrameReader } = await built('net/reuse/frames.js');
  const { ReusableConnection } = await built('net/reuse/reusable-connection.js');
  return {
    corpus: CORPUS.map((frames) => Buffer.concat(frames)),
    mutations: [insertFrame],
    async check(input, random) {
      const parts = [];
      for (let at = 0; at < input.length; at += parts.at(-1).length)
        parts.push(input.subarray(at, at + 1 + below(random, input.length - at)));
      // `timed` may repeat the call, so each one has a reader of its own.
      const found = timed(() => read(new FrameReader(), parts));
      assertSame(
        JSON.stringify(found),
        JSON.stringify(framesOf(input)),
        'other frames than those that arrived',
      );

      const wire = new Wire();
      const told = [];
      const connection = new ReusableConnection(
        wire,
        { maxFramedBytes: 256, lingerMs: 1_000 },
        {
          control: (type, payload) => {
            told.push(type);
            if (type !== 'ticket' || !payload.toString('latin1').includes('.')) connection.destroy();
          },
          free: () => told.push('free'),
          closed: () => told.push('closed'),
        },
      );
      const visit = connection.start([Buffer.from('hello')]);
      let received = '';
      let ended = false;
      visit.on('data', (chunk) => (received += chunk.toString('latin1')));
      visit.on('end', () => (ended = true));
      visit.end('more');
      for (let at = 0; at < input.length && !wire.destroyed;) {
        const end = at + 1 + below(random, input.length - at);
        wire.push(input.subarray(at, end));
        await new Promise(setImmediate);
        at = end;
      }
      await new Promise(setImmediate);
      wire.destroy();
      await new Promise(setImmediate);
      // A visit gets the data before its end, and nothing of what follows.
      const own = [];
      for (const each of found) {
        if (each[0] !== 'data' && each[0] !== 'raw') break;
        own.push(each[1]);
      }
      assert(own.join('').startsWith(received), 'a visit got bytes that are not its own');
      assertSame(told.filter((each) => each === 'closed').length, 1, 'not closed exactly once');
      if (told.includes('free')) {
        assertSame(received, own.join(''), 'a visit lost bytes');
        assert(ended, 'a visit has no end');
      }
      return `${told.join(' ')}${ended ? ', ended' : ''}`;
    },
  };
}
