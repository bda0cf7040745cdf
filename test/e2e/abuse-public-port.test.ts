import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { connect as tlsConnect } from 'node:tls';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { newTicket, showTicket } from '../../src/protocol/ticket.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { buildClientHello, captureClientHello, intoRecords } from '../support/client-hello.js';
import { programFor } from '../support/debian.js';
import { agent, desired, get, httpService, relay, service, type TestRelay } from '../support/world.js';
import {
  ACCEPTED,
  afterHead,
  helloFor,
  sendHello,
  line,
  Peer,
  tcp,
  tls,
  upgradeShowing,
} from './relay-peer.js';

/** TLS records with one fatal alert (RFC 8446 §6). */
const UNRECOGNIZED_NAME = Buffer.from('15030300020270', 'hex');
const DECODE_ERROR = Buffer.from('15030300020232', 'hex');

const short = (limits: Partial<RelayLimits>): Promise<TestRelay> => relay({ limits });

describe('broken ClientHellos', () => {
  it.each([
    ['cut short', Buffer.from('160301000401000000', 'hex')],
    ['another handshake message', Buffer.from('160301000402000000', 'hex')],
    ['larger than 64 KB', Buffer.from('16030140000101ffff', 'hex')],
    ['another record in between', Buffer.from('16030100010115030300020228', 'hex')],
    ['empty records', Buffer.from('1603010000'.repeat(64), 'hex')],
    ['more records than a hello may have', intoRecords(buildClientHello({ serverName: 'a.b' }), [1])],
  ])('%s: rejected with decode_error', async (_what, bytes) => {
    const at = await relay();
    const visitor = await tcp(at);
    visitor.socket.write(bytes);
    expect(await visitor.closed).toEqual({ how: 'end', received: DECODE_ERROR });
    expect(at.counts().unrouted).toBe(0);
  });

  it('an unknown name is rejected with unrecognized_name, which clients report', async (context) => {
    const at = await relay();
    const visitor = await sendHello(at, 'nobody.localhost');
    expect(await visitor.closed).toEqual({ how: 'end', received: UNRECOGNIZED_NAME });

    const node = line(tlsConnect({ port: at.port, host: '127.0.0.1', servername: 'nobody.localhost' }));
    expect((await node.closed).how).toBe('ERR_SSL_TLSV1_UNRECOGNIZED_NAME');
    const run = promisify(execFile);
    const curl = run(await programFor(context, 'curl'), [
      '-q',
      '-sSk',
      '--noproxy',
      '*',
      '--connect-to',
      `::127.0.0.1:${at.port}`,
      'https://nobody.localhost/',
    ]);
    await expect(curl).rejects.toThrow(/unrecognized name/);
  });

  it('a hello reaches its lease, even byte by byte, in many records and with a large key share', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    peer.answerDials();
    await peer.lease('web');
    const large = buildClientHello({
      serverName: 'web.localhost',
      extensions: [{ type: 4711, data: Buffer.alloc(20_000) }],
    });
    const ordinary = await captureClientHello({ servername: 'web.localhost' });
    for (const hello of [
      helloFor('web.localhost'),
      intoRecords(large, [1000]),
      intoRecords(large),
      ordinary,
    ]) {
      const visitor = await tcp(at);
      if (hello.length > 1_000) visitor.socket.write(hello);
      else for (const byte of hello) visitor.socket.write(Buffer.from([byte]));
      const { data } = await peer.visited();
      const received = await data.until((all) => afterHead(all).length > hello.length);
      expect(afterHead(received)).toEqual(Buffer.concat([Buffer.from([1]), hello]));
    }
  });

  it('a connection that is neither TLS nor HTTP is closed', async () => {
    const at = await relay();
    for (const garbage of ['\0\0\0\0', 'SSH-2.0-x\r\n', '\x80\x2e\x01\x00\x02', '\x16\x02\x00'.repeat(9)]) {
      const visitor = await tcp(at);
      visitor.socket.write(Buffer.from(garbage, 'latin1'));
      expect((await visitor.closed).received.toString()).toMatch(/^HTTP\/1\.1 400 /);
    }
  });

  it('first bytes have a total limit: the oldest connection closes, and a visitor is unaffected', async () => {
    const at = await short({ maxUnroutedBytes: 100_000 });
    const peer = await Peer.open(at);
    peer.answerDials();
    await peer.lease('web');
    const half = intoRecords(
      buildClientHello({ extensions: [{ type: 9, data: Buffer.alloc(60_000) }] }),
    ).subarray(0, 40_000);
    const hoarders = [];
    for (let i = 0; i < 4; i++) {
      const hoarder = await tcp(at);
      hoarder.socket.write(half);
      hoarders.push(hoarder);
    }
    await hoarders[0]!.closed;
    await hoarders[1]!.closed;
    await sendHello(at, 'web.localhost');
    await peer.visited();
    expect(at.counts().unrouted).toBe(2);
  });
});

describe('a full relay', () => {
  const CROWD = { localAddress: '127.0.1.1' };

  it('closes connections of the address with most of them, even if another’s are older', async () => {
    const at = await short({ maxUnroutedConnections: 5 });
    const slow = await tcp(at);
    const crowd = [];
    for (let i = 0; i < 10; i++) crowd.push(await tcp(at, CROWD));
    await Promise.all(crowd.slice(0, 6).map(({ closed }) => closed));
    slow.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await slow.until('308 Permanent Redirect');
    expect(at.counts().refused).toEqual({ maxUnroutedConnections: 6 });
  });

  it('closes connections of the address that has sent most', async () => {
    const at = await short({ maxUnroutedBytes: 100_000 });
    const half = intoRecords(
      buildClientHello({ extensions: [{ type: 9, data: Buffer.alloc(60_000) }] }),
    ).subarray(0, 40_000);
    const hello = helloFor('web.localhost');
    const slow = await tcp(at);
    slow.socket.write(hello.subarray(0, 20));
    const crowd = [];
    for (let i = 0; i < 4; i++) {
      const one = await tcp(at, CROWD);
      one.socket.write(half);
      crowd.push(one);
    }
    await Promise.all(crowd.slice(0, 2).map(({ closed }) => closed));
    slow.socket.write(hello.subarray(20));
    // The alert for an unknown name proves that its ClientHello was read.
    expect((await slow.closed).received).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, 112]));
  });

  it('closes requests of the address with most of them', async () => {
    const at = await short({ maxRequestConnections: 5 });
    const slow = await tls(at);
    const crowd = [];
    for (let i = 0; i < 10; i++) crowd.push(await tls(at, CROWD));
    await Promise.all(crowd.slice(0, 6).map(({ closed }) => closed));
    slow.socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await slow.until('200 OK');
    expect(at.counts().refused).toEqual({ maxRequestConnections: 6 });
  });
});

async function ask(at: TestRelay, head: string): Promise<string> {
  const one = await tcp(at);
  one.socket.write(head);
  return (await one.until('\r\n\r\n')).toString();
}

describe('HTTP without TLS', () => {
  it.each([
    ['GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', '/'],
    ['GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n', '/a?b=c'],
    ['HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n', '/x'],
    ['GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n', '//evil.example/'],
    ['GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n', '/'],
    ['OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n', '/'],
    ['GET /%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: localhost\r\n\r\n', '/%0d%0aSet-Cookie:%20a=b'],
    [`GET /${'a'.repeat(10_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, `/${'a'.repeat(10_000)}`],
    ['GET /h2 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', '/h2'],
  ])('redirects %j to https', async (head, path) => {
    const at = await relay();
    const text = await ask(at, head);
    expect(text).toMatch(/^HTTP\/1\.1 308 /);
    expect(/^location: (.*)$/im.exec(text)?.[1]).toBe(`https://localhost:${at.port}${path}`);
  });

  it('survives bytes that a URL must not contain', async () => {
    const at = await relay();
    for (let byte = 0; byte < 256; byte++) {
      const one = await tcp(at);
      one.socket.write(
        Buffer.from(`GET /a${String.fromCharCode(byte)}b HTTP/1.1\r\nHost: localhost\r\n\r\n`, 'latin1'),
      );
      expect((await one.closed).received.toString('latin1')).toMatch(/^HTTP\/1\.1 (308|400) .*\r\n[!-~\s]*$/);
    }
  });

  it('keeps the host only if it is one of the relay’s own', async () => {
    const at = await relay();
    const locationOf = async (host: string) =>
      /^location: (.*)$/im.exec(await ask(at, `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`))?.[1];
    expect(await locationOf('Web.localhost:80')).toBe(`https://web.localhost:${at.port}/x`);
    expect(await locationOf('Web.localhost.')).toBe(`https://web.localhost:${at.port}/x`);
    for (const host of ['', '127.0.0.1', `127.0.0.1:${at.port}`, '[::1]', '[::1]:80'])
      expect(await locationOf(host)).toBe(`https://localhost:${at.port}/x`);
    for (const host of ['evil.example', 'evillocalhost', 'localhost.evil.example', 'a@b.localhost'])
      expect(await ask(at, `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toMatch(
        /^HTTP\/1\.1 404 (?![^]*location)/i,
      );
  });

  it('responds to a POST before its body, and the client reads the response', async () => {
    const at = await relay();
    for (const headers of [{}, { expect: '100-continue' }]) {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const post = request({
          port: at.port,
          host: '127.0.0.1',
          method: 'POST',
          path: '/upload',
          headers,
          agent: false,
        });
        post.on('response', (response) => response.resume().on('close', () => resolve(response.statusCode)));
        post.on('error', reject);
        post.end(Buffer.alloc(5_000_000));
      });
      expect(status).toBe(308);
    }
  });

  it('rejects headers beyond 16 KB with the right status', async () => {
    const at = await relay();
    expect(await ask(at, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  });
});

describe('slow-loris', () => {
  // Each opens a connection, stops before the next stage, and must see the relay close it at the timeout.
  const bounds = { firstBytesMs: 400, requestHeadMs: 400, handshakeMs: 400 };

  it('first bytes: nothing, one byte, half a hello', async () => {
    const at = await short(bounds);
    for (const bytes of [Buffer.alloc(0), Buffer.from([22]), helloFor('web.localhost').subarray(0, 60)]) {
      const one = await tcp(at);
      one.socket.write(bytes);
      expect(await one.closed).toMatchObject({ received: Buffer.alloc(0) });
    }
    expect(at.counts().unrouted).toBe(0);
  });

  it('an occasional byte does not extend the timeout', async () => {
    const at = await short(bounds);
    const one = await tcp(at);
    const hello = helloFor('web.localhost');
    let sent = 0;
    const dripping = setInterval(() => one.socket.write(hello.subarray(sent, ++sent)), 10);
    await one.closed;
    clearInterval(dripping);
    expect(sent).toBeLessThan(hello.length);
  });

  it('a TLS handshake with the relay itself that stops after the hello', async () => {
    const at = await short(bounds);
    const one = await tcp(at);
    one.socket.write(await captureClientHello({ servername: 'localhost' }));
    expect((await one.closed).received.length).toBeGreaterThan(500);
  });

  it.each([
    ['nothing', ''],
    ['half a request', 'GET /v1/relay HT'],
    ['half its headers', 'GET /v1/relay HTTP/1.1\r\nHost: localhost\r\nX: '],
    ['half a body', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc'],
    ['half a data upgrade', upgradeShowing(showTicket(newTicket(), undefined)).slice(0, -4)],
  ])('HTTP over TLS and without TLS: %s', async (what, bytes) => {
    const at = await short(bounds);
    for (const open of what === 'nothing' ? [tls] : [tls, tcp]) {
      const one = await open(at);
      one.socket.write(bytes);
      expect((await one.closed).received.toString()).toMatch(
        /^(HTTP\/1\.1 405 .*\r\n[^]*|HTTP\/1\.1 308 .*\r\n[^]*)?HTTP\/1\.1 408 /,
      );
    }
  });

  it('a control channel without hello, and one without proof', async () => {
    const at = await short(bounds);
    const silent = await Peer.connect(at);
    expect((await silent.next('error')).code).toBe('expired');
    expect(await silent.closed).toEqual({ code: 1008, reason: 'expired' });
    const unproven = await Peer.connect(at);
    await unproven.challenge();
    expect(await unproven.closed).toEqual({ code: 1008, reason: 'expired' });
    expect(at.counts().sessions).toBe(0);
  });

  it('an idle data connection is not slow-loris, and outlives those timeouts', async () => {
    const at = await short({ ...bounds, idleDataConnectionMs: 1_000 });
    const peer = await Peer.open(at);
    await peer.lease('web');
    const startedAt = Date.now();
    const [data] = await peer.connectAll();
    expect((await data!.closed).received.toString()).toMatch(ACCEPTED);
    expect(Date.now() - startedAt).toBeGreaterThan(900);
  });
});

describe('silent connections', () => {
  it('3,000 of them do not affect others, and their number has a limit', async () => {
    const at = await short({ maxUnroutedConnections: 500 });
    const { port } = await httpService((_request, response) => response.end('still here'));
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', port)));
    const crowd = [];
    for (let thousand = 0; thousand < 3; thousand++) {
      for (let i = 0; i < 1_000; i++) crowd.push(await tcp(at));
      expect((await get(at, 'web.localhost', one.ca)).text).toContain('still here');
    }
    expect(at.counts().unrouted).toBeLessThanOrEqual(500);
    await Promise.all(crowd.slice(0, 2_400).map(({ closed }) => closed));
    for (const { socket } of crowd) socket.destroy();
  });
});

describe('idle TLS sessions with the relay itself', () => {
  it('have a limit: the oldest closes, and agents can still connect', async () => {
    const at = await short({ maxRequestConnections: 5 });
    const peer = await Peer.open(at);
    peer.answerDials();
    await peer.lease('web');
    await sendHello(at, 'web.localhost');
    await peer.visited();
    const idle = [];
    for (let i = 0; i < 4; i++)
      idle.push(await tls(at), await tcp(at).then((one) => (one.socket.write('G'), one)));
    await Promise.all(idle.slice(0, 3).map(({ closed }) => closed));
    await expect(Peer.open(at)).resolves.toBeDefined();
    // Upgraded connections do not count.
    await expect(peer.lease('other')).resolves.toBeDefined();
    expect(at.counts().visitors).toBe(1);
  });
});

describe('open connections', () => {
  it('a relay that closes while every stage is occupied leaves nothing open', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    peer.answerDials();
    await peer.lease('web');
    const left = [
      await tcp(at),
      await sendHello(at, 'localhost'),
      await tls(at),
      await sendHello(at, 'web.localhost'),
      (await peer.visited()).data,
      await sendHello(at, 'nobody.localhost'),
      line((await Peer.connect(at)).ws['_socket' as never]),
    ];
    await Promise.all([at.close(), at.close()]);
    await Promise.all(left.map(({ closed }) => closed));
    expect(at.counts()).toEqual({
      sessions: 0,
      handshakes: 0,
      mostHandshakes: expect.any(Number),
      leases: 0,
      unrouted: 0,
      visitors: 0,
      tickets: 0,
      flows: 0,
      hops: 0,
      hopBytes: 0,
      hopTickets: 0,
      peers: 0,
      knownPeers: 0,
      dropped: {},
      waiting: 0,
      refused: {},
      withoutDescriptor: 0,
    });
    await expect(tcp(at)).rejects.toThrow('ECONNREFUSED');
  });
});
