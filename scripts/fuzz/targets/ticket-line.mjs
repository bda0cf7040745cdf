import { Duplex } from 'node:stream';
import { below, pick } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** The first bytes of a connection on a relay's public port, in fragments: ticket lines, and what resembles them. */

const LINE = `\x02${'n'.repeat(16)}.${'s'.repeat(32)}\n`;
const CORPUS = [
  LINE,
  `${LINE}\x01`,
  LINE.slice(0, 50),
  LINE.replace('\n', '\r\n'),
  `\x02${'-_aZ09'.repeat(8)}\n`,
  'GET / HTTP/1.1\r\n\r\n',
  '\x16\x03\x01\x00\x04\x01\x00\x00\x00',
];

/** Replaces a byte of a line by one that decides about its form. */
function editByte(random, input) {
  const output = Buffer.from(input);
  const at = pick(random, [0, 1, 16, 17, 18, 49, 50, below(random, 51)]);
  if (at < output.length) output[at] = pick(random, [0, 1, 2, 3, 0x0a, 0x0d, 0x2e, 0x2d, 0x5f, 0x3d, 0xff]);
  return output;
}

/** Makes the input as long as a line, or a byte shorter or longer. */
function resize(random, input) {
  const output = Buffer.alloc(50 + below(random, 3), 'a');
  input.copy(output);
  return output;
}

/** A connection without a network. */
class Wire extends Duplex {
  remoteAddress = '203.0.113.7';

  _read() {}

  _write(_chunk, _encoding, done) {
    done();
  }
}

const nameOf = (where) => (typeof where === 'object' ? 'ticket' : (where ?? 'none'));

export async function load() {
  const { readTicketLine, ticketLine } = await built('protocol/ticket-line.js');
  const { Front } = await built('relay/public-port/front.js');
  let routed;
  const front = new Front({
    firstBytesMs: 600_000,
    maxUnroutedConnections: 10,
    maxUnroutedBytes: 1_000_000,
    isOwn: () => true,
    evicted: () => assert(false, 'a connection was evicted'),
    routes: {
      visitor: () => false,
      ownTls: () => (routed = 'tls'),
      plain: () => (routed = 'plain'),
      ticket: (_socket, shown) => (routed = shown ?? 'malformed'),
    },
  });
  const isRouted = () => routed !== undefined;

  return {
    corpus: CORPUS.map((text) => Buffer.from(text, 'latin1')),
    mutations: [editByte, resize],
    async check(input, random) {
      const verdict = timed(() => readTicketLine(input));
      if (verdict.kind === 'need') {
        assert(verdict.bytes > input.length && verdict.bytes === 51, `need ${verdict.bytes} is out of range`);
      } else if (verdict.shown) {
        const { name, proof } = verdict.shown;
        assertSame(
          input.toString('latin1'),
          ticketLine(name + proof),
          'another line presents the same ticket',
        );
      }

      routed = undefined;
      const wire = new Wire();
      wire.on('error', () => undefined);
      front.take(wire);
      let sent = 0;
      while (sent < input.length && !isRouted() && !wire.destroyed) {
        const bytes = 1 + below(random, input.length - sent);
        wire.push(input.subarray(sent, (sent += bytes)));
        await new Promise(setImmediate);
      }
      wire.destroy();
      const isLine = input[0] === 0x02;
      if (isLine && sent < 51) assertSame(routed, undefined, 'routed before the end of the line');
      if (isLine && sent >= 51)
        assertSame(
          routed,
          readTicketLine(input.subarray(0, sent)).shown ?? 'malformed',
          'routed by other bytes than those that arrived',
        );
      if (!isLine) assert(nameOf(routed) !== 'ticket' && routed !== 'malformed', 'no line, but a ticket');
      return `${verdict.kind === 'need' ? 'need' : verdict.shown ? 'ticket' : 'malformed'}, routed: ${nameOf(routed)}`;
    },
  };
}
