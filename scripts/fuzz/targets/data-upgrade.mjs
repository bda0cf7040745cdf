import { Duplex } from 'node:stream';
import { pick } from '../chance.mjs';
import { assert, assertSame, built, timed } from '../check.mjs';

/** The upgrade to a data connection: the request as a relay reads it, and the response as an agent reads it. */

const SHOWN = `Portal-Ticket ${'a'.repeat(16)}.${'b'.repeat(43)}`;
const REQUESTS = [
  `GET /v1/data HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: portal-data\r\nAuthorization: ${SHOWN}\r\n\r\n`,
  'GET /v1/data?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: Portal-Data\r\nConnection: keep-alive, upgrade\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n',
  'POST /v1/data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde',
];
const RESPONSES = [
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: portal-data\r\n\r\n\x01',
  'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
];
const PARTS = [
  '\r\n',
  '\n',
  '\r\n\r\n',
  ' ',
  '\t',
  '\0',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 5\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: websocket\r\n',
  `Authorization: ${SHOWN}\r\n`,
  'Authorization: Portal-Ticket x\r\n',
  'Connection: close\r\n',
  'Host: a b\r\n',
  `X: ${'a'.repeat(9_000)}\r\n`,
  'GET /v1/hop HTTP/1.1\r\n',
  'CONNECT a:1 HTTP/1.1\r\n',
  'PRI * HTTP/2.0\r\n\r\n',
  'HTTP/1.1 101\r\n',
];

function insertPart(random, input) {
  const lines = [...input.toString('latin1').matchAll(/\n/g)].map(({ index }) => index + 1);
  const at = pick(random, [0, input.length, ...lines]);
  return Buffer.concat([input.subarray(0, at), Buffer.from(pick(random, PARTS)), input.subarray(at)]);
}

/** A connection without a network. */
class Wire extends Duplex {
  response = Buffer.alloc(0);

  _read() {}

  _write(chunk, _encoding, done) {
    this.response = Buffer.concat([this.response, chunk]);
    done();
  }

  setTimeout() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  setKeepAlive() {
    return this;
  }
}

const turn = () => new Promise(setImmediate);

export async function load() {
  const { createHttpSurface } = await built('relay/public-port/http-surface.js');
  const { Turns } = await built('relay/protection/turns.js');
  const { readUpgradeResponse } = await built('agent/data/upgrade-response.js');
  let taken;
  const surface = createHttpSurface({
    tls: undefined,
    url: () => 'https://localhost:8443',
    requestHeadMs: 600_000,
    maxRequestConnections: 8,
    serves: () => false,
    descriptor: () => ({}),
    relays: () => [],
    hops: { take: () => undefined },
    healthy: () => true,
    turns: new Turns(),
    hasDescriptors: () => true,
    onTrusted: () => undefined,
    onCrowded: () => undefined,
    onHop: () => undefined,
    onData: (ticket, carrier) => {
      taken = { ticket, carrier };
      return () => undefined;
    },
  });
  return {
    corpus: [...REQUESTS, ...RESPONSES].map((text) => Buffer.from(text, 'latin1')),
    mutations: [insertPart],
    async check(input) {
      const response = timed(() => readUpgradeResponse(input));
      if (response.kind === 'upgraded') {
        assert(/^HTTP\/1\.1 101[ \r]/.test(input.toString('latin1', 0, 13)), 'the response is not a 101');
        const head = input.length - response.rest.length;
        assertSame(input.toString('latin1', head - 4, head), '\r\n\r\n', 'the head ends elsewhere');
        assertSame(input.indexOf('\r\n\r\n'), head - 4, 'the head ends earlier');
      }
      taken = undefined;
      const wire = new Wire();
      wire.on('error', () => undefined);
      surface.plain(wire);
      wire.push(input);
      await turn();
      await turn();
      const said = wire.response.toString('latin1');
      wire.destroy();
      const [status] = /^HTTP\/1\.1 \d{3}/.exec(said) ?? [];
      assert(said === '' || status !== undefined, `response ${said.slice(0, 100)}`);
      if (taken) {
        // It may follow another request, have no version, or have several spaces: Node accepts all of these.
        assert(
          /^GET +\/v1\/data(\W|$)/m.test(input.toString('latin1')),
          'a different request consumed a ticket',
        );
        assert(/^[\w-]{16}$/.test(taken.ticket.name) && taken.carrier === 'raw', 'a malformed ticket');
      }
      assert(
        said.includes('HTTP/1.1 101') === (taken !== undefined),
        `status ${status} does not match the ticket`,
      );
      return `${status ?? 'no response'}, agent: ${response.kind}`;
    },
  };
}
