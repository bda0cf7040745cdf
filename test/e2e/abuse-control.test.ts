import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import { ERRORS } from '../../src/lib/error-codes.js';
import { CONTROL_SUBPROTOCOL, LIMITS, PROTOCOL_VERSION } from '../../src/protocol/limits.js';
import { relay, type TestRelay } from '../support/world.js';
import { Peer, settled, tls, type Line, type RelayError } from './relay-peer.js';

const HELLO = {
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  agent: { instance: 'i', version: 'v' },
  address: `0x${'ab'.repeat(20)}`,
  nonce: 'ab'.repeat(16),
};
const LEASE = { type: 'lease.open', id: 1, name: 'web', mode: 'stream', carrier: 'raw' };
const SIGNATURE = `0x${'11'.repeat(65)}`;
const deep = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** The error that ends the channel, and the close code. */
async function refusal(
  peer: Peer,
): Promise<{ code: string; message: string; close: number; reason: string }> {
  const { code, message, ...rest } = await peer.next('error');
  expect(rest).not.toHaveProperty('id');
  expect(ERRORS).toHaveProperty(code);
  const { code: close, reason } = await peer.closed;
  return { code, message, close, reason };
}

const refusedAs = (code: string) => ({ code, close: 1008, reason: code });

/** The relay's reaction to this signature. */
function prove(peer: Peer, signature: string): ReturnType<typeof refusal> {
  peer.say({ type: 'prove', signature });
  return refusal(peer);
}

describe('malformed messages', () => {
  it.each([
    ['no JSON', '{"type":'],
    ['no object', '[1,2]'],
    ['null', 'null'],
    ['nothing', ''],
    ['binary', Buffer.from(JSON.stringify(HELLO))],
    ['no type', '{}'],
    ['an unknown type', '{"type":"lease.steal"}'],
    ['a type from the prototype', '{"type":"constructor"}'],
    ['a type that is the prototype', '{"type":"__proto__"}'],
    ['a type that is not a string', '{"type":["hello"]}'],
    ['nested deeply', deep(30_000)],
    ['a field nested deeply', JSON.stringify(HELLO).replace('"i"', deep(20_000))],
    ['a missing field', JSON.stringify({ ...HELLO, address: undefined })],
    ['a field of the wrong type', JSON.stringify({ ...HELLO, protocol: '1' })],
    ['an invalid address', JSON.stringify({ ...HELLO, address: '0x12' })],
    ['an invalid agent', JSON.stringify({ ...HELLO, agent: [] })],
    [
      'a text that is too long',
      JSON.stringify({ ...HELLO, agent: { instance: 'x'.repeat(201), version: 'v' } }),
    ],
    ['half a protocol', JSON.stringify({ ...HELLO, protocol: 1.5 })],
    ['a message that only a relay sends', '{"type":"ok","id":1}'],
  ])('%s: rejected with protocol, close code 1002', async (_what, message) => {
    const at = await relay();
    const peer = await Peer.connect(at);
    peer.say(message);
    expect(await refusal(peer)).toMatchObject({ code: 'protocol', close: 1002, reason: 'protocol' });
    expect(at.counts().sessions).toBe(0);
  });

  it('more than 64 KiB: close code 1009, in one frame or in many', async () => {
    const at = await relay();
    for (const fragments of [1, 100]) {
      const peer = await Peer.open(at);
      const part = ' '.repeat(Math.ceil((LIMITS.maxControlMessageBytes + 1) / fragments));
      for (let i = 1; i <= fragments; i++) peer.ws.send(part, { fin: i === fragments });
      expect((await peer.closed).code).toBe(1009);
    }
  });

  it('text that is not UTF-8: close code 1007', async () => {
    const peer = await Peer.connect(await relay());
    peer.ws.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect((await peer.closed).code).toBe(1007);
  });

  it('keys of every object’s prototype have no effect', async () => {
    const peer = await Peer.open(await relay());
    peer.say(
      `{"type":"lease.open","id":7,"name":"web","mode":"stream","carrier":"raw","constructor":{"prototype":1},
        "__proto__":{"polluted":true},"metadata":{"__proto__":"x","constructor":"y","toString":"z"}}`,
    );
    expect(await peer.next('lease.opened')).toMatchObject({ id: 7 });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    peer.say(
      '{"type":"lease.open","id":8,"name":"web","mode":"stream","carrier":"raw","metadata":{"__proto__":{}}}',
    );
    expect(await refusal(peer)).toMatchObject({ code: 'protocol', close: 1002 });
  });

  it('ignores fields that this version does not know', async () => {
    const peer = await Peer.open(await relay());
    await expect(peer.lease('web', { colour: 'red', x: JSON.parse(deep(1_000)) })).resolves.toMatchObject({
      hostname: 'web.localhost',
    });
  });

  it.each([
    ['too many entries', Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 'v']))],
    ['a value that is too long', { k: 'v'.repeat(257) }],
    ['a key that is too long', { ['k'.repeat(65)]: 'v' }],
    ['a value that is not a string', { k: 1 }],
  ])('rejects metadata with %s', async (_what, metadata) => {
    const peer = await Peer.open(await relay());
    peer.say({ ...LEASE, metadata });
    expect(await refusal(peer)).toMatchObject({ code: 'protocol', close: 1002 });
  });
});

describe('messages out of order', () => {
  it.each([
    ['a proof before the hello', [{ type: 'prove', signature: SIGNATURE }]],
    ['a request before the hello', [LEASE]],
    ['a request before the proof', [HELLO, LEASE]],
    ['two hellos', [HELLO, HELLO]],
  ])('rejects %s', async (_what, messages) => {
    const at = await relay();
    const peer = await Peer.connect(at);
    for (const message of messages) peer.say(message);
    expect(await refusal(peer)).toMatchObject({ code: 'protocol', close: 1002 });
    expect(at.counts()).toMatchObject({ sessions: 0, leases: 0 });
  });

  it('rejects hello and proof after welcome', async () => {
    const at = await relay();
    for (const again of [HELLO, { type: 'prove', signature: SIGNATURE }]) {
      const peer = await Peer.open(at);
      peer.say(again);
      expect(await refusal(peer)).toMatchObject({ code: 'protocol', close: 1002 });
    }
  });

  it('ignores messages after a rejection', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    peer.say('{');
    peer.say(LEASE);
    await peer.closed;
    expect(at.counts().leases).toBe(0);
  });

  it('tells a peer of another version which version it speaks', async () => {
    const at = await relay();
    const { nonce: _nonce, ...first } = { ...HELLO, protocol: 1 };
    for (const hello of [first, { ...HELLO, protocol: PROTOCOL_VERSION + 1 }]) {
      const peer = await Peer.connect(at);
      peer.say(hello);
      expect(await refusal(peer)).toMatchObject({
        code: 'version',
        message: expect.stringContaining(`version ${PROTOCOL_VERSION}`),
        close: 1008,
        reason: 'version',
      });
    }
  });

  it('accepts no control channel with another subprotocol, or without one', async () => {
    const at = await relay();
    for (const protocols of [[], ['portal.control.2'], ['mqtt']])
      await expect(Peer.connect(at, { protocols })).rejects.toThrow('400');
    await expect(
      Peer.connect(at, { protocols: ['portal.control.2', CONTROL_SUBPROTOCOL] }),
    ).resolves.toBeDefined();
  });

  it('rejects a request for a lease of another session, or for an unknown one', async () => {
    const at = await relay();
    const owner = await Peer.open(at);
    const { lease } = await owner.lease('web');
    const other = await Peer.open(at);
    for (const id of [lease, 'nonsense', '__proto__']) {
      await expect(other.request({ type: 'lease.close', lease: id })).rejects.toMatchObject({
        code: 'not_found',
      });
      const update = other.request({ type: 'lease.update', lease: id, metadata: {} });
      await expect(update).rejects.toMatchObject({ code: 'not_found' });
    }
    await expect(owner.request({ type: 'lease.update', lease, metadata: { a: 'b' } })).resolves.toBeDefined();
    await expect(owner.request({ type: 'lease.close', lease })).resolves.toBeDefined();
    await expect(owner.request({ type: 'lease.close', lease })).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('proofs', () => {
  it('rejects a signature from another session', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const first = await Peer.connect(at, { identity });
    const signature = identity.sign(await first.challenge());
    first.say({ type: 'prove', signature });
    await first.next('welcome');
    const second = await Peer.connect(at, { identity });
    await second.challenge();
    expect(await prove(second, signature)).toMatchObject(refusedAs('unauthorized'));
  });

  it('rejects a proof that arrives too late', async () => {
    const at = await relay({ limits: { challengeMs: 1 } });
    const peer = await Peer.connect(at);
    const message = await peer.challenge();
    const expiry = Date.parse(/^Expiration Time: (.*)$/m.exec(message)![1]!);
    // Pings until the clock has passed it.
    while (Date.now() <= expiry) {
      peer.ws.ping();
      await once(peer.ws, 'pong');
    }
    expect(await prove(peer, peer.identity.sign(message))).toMatchObject(refusedAs('expired'));
  });

  it('rejects a proof with any byte changed', async () => {
    const at = await relay();
    for (const position of [2, 40, 66, 100, 130]) {
      const peer = await Peer.connect(at);
      const signature = peer.identity.sign(await peer.challenge());
      const digit = signature[position] === '0' ? '1' : '0';
      const tampered = signature.slice(0, position) + digit + signature.slice(position + 1);
      expect(await prove(peer, tampered)).toMatchObject(refusedAs('unauthorized'));
    }
  });

  it.each([
    ['another domain', (text: string) => text.replace(/^\S+/, 'evil.example')],
    ['another URI', (text: string) => text.replace(/^URI: .*/m, 'URI: https://evil.example')],
    ['another nonce', (text: string) => text.replace(/^Nonce: .*/m, 'Nonce: 0123456789abcdef')],
    [
      'a longer life',
      (text: string) => text.replace(/^Expiration Time: .*/m, 'Expiration Time: 2999-01-01T00:00:00.000Z'),
    ],
    ['a completely different text', () => 'I owe you'],
  ])('rejects a signature over %s', async (_what, change) => {
    const peer = await Peer.connect(await relay());
    const message = await peer.challenge();
    expect(await prove(peer, peer.identity.sign(change(message)))).toMatchObject(refusedAs('unauthorized'));
  });

  it('rejects the right text, signed with the wrong key', async () => {
    const peer = await Peer.connect(await relay());
    const message = await peer.challenge();
    expect(await prove(peer, generateIdentity().sign(message))).toMatchObject(refusedAs('unauthorized'));
  });

  it('treats all spellings of an address as one identity', async () => {
    const at = await relay();
    const identity = generateIdentity();
    const first = await Peer.open(at, { identity, instance: 'one' });
    const { lease } = await first.lease('web');
    const second = await Peer.connect(at, { identity, instance: 'one' });
    const message = await second.challenge({ address: identity.address.toLowerCase() });
    second.say({ type: 'prove', signature: identity.sign(message) });
    await second.next('welcome');
    expect((await second.lease('web')).lease).toBe(lease);
  });
});

describe('an agent that sends too much', () => {
  it('responds to thousands of requests in flight, in order', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    const { lease } = await peer.lease('web');
    const requested = Array.from({ length: 3_000 }, (_, i) =>
      i % 3 === 0
        ? peer.lease(`n${i % 60}`)
        : peer.request({ type: 'lease.update', lease, metadata: { n: `${i}` } }),
    );
    await Promise.all(requested);
    expect(at.counts().leases).toBe(21);
  });

  it('drops an agent that never reads, and frees its resources', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    peer.ws.pause();
    // The error response is longer than the request.
    const request = JSON.stringify({ ...LEASE, name: '-'.repeat(253) });
    const flooding = new Promise((resolve) => {
      const flood = (): void => {
        for (let i = 0; i < 500; i++) peer.ws.send(request);
        if (at.counts().sessions === 0) resolve(undefined);
        else setImmediate(flood);
      };
      flood();
    });
    await flooding;
    expect(at.counts().sessions).toBe(0);
  });

  it('responds to a flood of pings only as fast as the agent reads', async () => {
    const at = await relay();
    const other = await Peer.open(at);
    const peer = await Peer.open(at);
    peer.ws.pause();
    const flooding = new Promise((resolve) => {
      const flood = (): void => {
        for (let i = 0; i < 2_000; i++) peer.ws.ping('x'.repeat(125));
        if (at.counts().sessions === 1) resolve(undefined);
        else setImmediate(flood);
      };
      flood();
    });
    await flooding;
    await expect(other.lease('web')).resolves.toBeDefined();
  });

  it('rejects leases beyond the limit with that reason, and keeps the channel open', async () => {
    const at = await relay({ limits: { maxLeasesPerSession: 2 } });
    const peer = await Peer.open(at);
    const results = await Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => peer.lease(name)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    const refused = (results[2] as PromiseRejectedResult).reason as RelayError;
    expect(refused).toMatchObject({ code: 'limit_exceeded', message: expect.stringContaining('2 leases') });
    await expect(peer.lease('a')).resolves.toBeDefined();
  });

  it('rejects sessions beyond the limit with 503, but replaces unproven ones', async () => {
    const at = await relay({ limits: { maxSessions: 2 } });
    await Peer.open(at);
    const unproven = await Peer.connect(at);
    await unproven.challenge();
    const second = await Peer.open(at);
    await unproven.closed;
    await expect(Peer.connect(at)).rejects.toThrow('503');
    expect(at.counts().sessions).toBe(2);
    second.ws.close();
    await second.closed;
    await Peer.open(at);
  });
});

/** A control channel without a WebSocket library. */
async function bare(at: TestRelay): Promise<Line> {
  const one = await tls(at);
  one.socket.write(
    `GET /v1/control HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${CONTROL_SUBPROTOCOL}\r\n\r\n`,
  );
  await one.until('\r\n\r\n');
  return one;
}

describe('a channel that ends unexpectedly', () => {
  it('disconnects a peer that does not confirm the close before the timeout', async () => {
    const at = await relay();
    const one = await bare(at);
    one.socket.write(Buffer.from([0x82, 0x80, 0, 0, 0, 0]));
    expect((await one.closed).how).toBeDefined();
    await settled(() => at.counts().sessions === 0);
  });

  it('disconnects a peer that sends garbage instead of frames', async () => {
    const at = await relay();
    const one = await bare(at);
    one.socket.end(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    expect((await one.closed).received.length).toBeGreaterThan(0);
    await settled(() => at.counts().sessions === 0);
  });
});
