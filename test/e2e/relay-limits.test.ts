import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { systemCode } from '../../src/lib/errors.js';
import { LIMITS } from '../../src/protocol/limits.js';
import { udpService, udpVisitor } from '../support/udp.js';
import {
  agent,
  desired,
  get,
  httpService,
  readAll,
  relay,
  service,
  tcpService,
  visit,
} from '../support/world.js';
import { sendHello, Peer, settled, tcp, tls, type RelayError } from './relay-peer.js';

/**
 * Limits per identity and per address: who is rejected, with which message and count, and that others are unaffected.
 */

const INTERNAL_ERROR_ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 80]);

/** How a connection ends that the relay rejects: it may be reset before it is established. */
const endOf = (at: { port: number }): Promise<string | undefined> =>
  tcp(at).then(
    async ({ closed }) => (await closed).how,
    (error: unknown) => systemCode(error),
  );
const portOf = (address: string | undefined) => ({ port: Number(address!.split(':')[1]) });

describe('sessions', () => {
  it('of an identity: one too many gets the limit and the fix; one that disconnected makes room', async () => {
    const at = await relay({ limits: { maxSessionsPerIdentity: 1 } });
    const identity = generateIdentity();
    const first = await Peer.open(at, { identity });
    const second = await Peer.connect(at, { identity });
    second.say({ type: 'prove', signature: identity.sign(await second.challenge()) });
    expect(await second.next('error')).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringMatching(/1 sessions.*\(maxSessionsPerIdentity\).*stop one of its agents/),
      retryAfterMs: expect.any(Number),
    });
    expect(await second.closed).toMatchObject({ code: 1008, reason: 'limit_exceeded' });
    expect(at.counts().refused).toEqual({ maxSessionsPerIdentity: 1 });
    // Another identity is unaffected.
    await Peer.open(at);
    first.ws.terminate();
    await settled(() => at.counts().sessions === 1);
    await Peer.open(at, { identity });
  });

  it('of an identity: an agent that reconnects before its end was noticed does not count twice', async () => {
    const at = await relay({ limits: { maxSessionsPerIdentity: 1 } });
    const who = { identity: generateIdentity(), instance: 'the same' };
    await Peer.open(at, who);
    await Peer.open(at, who);
    expect(at.counts().refused).toEqual({});
  });

  it('of an address: 429, with a time to retry', async () => {
    const at = await relay({ limits: { maxSessionsPerAddress: 1 } });
    const first = await Peer.open(at);
    await expect(Peer.connect(at)).rejects.toThrow('429');
    expect(at.counts().refused).toEqual({ maxSessionsPerAddress: 1 });
    first.ws.terminate();
    await settled(() => at.counts().sessions === 0);
    await Peer.open(at);
  });

  it('a rejected agent reports why, and waits as long as requested', async () => {
    const at = await relay({ limits: { maxSessionsPerAddress: 1 } });
    await Peer.open(at);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const attempts = (): number => at.counts().refused.maxSessionsPerAddress ?? 0;
    const one = await agent();
    void one.runner.apply(desired([at.spec], service('web', 1)));
    const { error } = await one.event('lease', ({ phase }) => phase === 'retrying');
    expect(error).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('maxSessionsPerAddress'),
    });
    // Otherwise it would retry within half a second.
    await vi.advanceTimersByTimeAsync(LIMITS.maxComeBackMs - 1_000);
    await Peer.connect(at).catch(() => undefined);
    expect(attempts()).toBe(2);
    await vi.advanceTimersByTimeAsync(LIMITS.maxComeBackMs + 2_000);
    await settled(() => attempts() === 3);
  });
});

describe('leases', () => {
  it('of an identity, over all its sessions', async () => {
    const at = await relay({ limits: { maxLeasesPerIdentity: 2 } });
    const identity = generateIdentity();
    const [one, two] = [await Peer.open(at, { identity }), await Peer.open(at, { identity })];
    const lease = await one.lease('a');
    await two.lease('b');
    const refused = (await two.lease('c').catch((error: unknown) => error)) as RelayError;
    expect(refused).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringMatching(/2 leases.*\(maxLeasesPerIdentity\).*close others/),
    });
    expect(at.counts().refused).toEqual({ maxLeasesPerIdentity: 1 });
    await one.request({ type: 'lease.close', lease: lease.lease });
    await expect(two.lease('c')).resolves.toBeDefined();
    await expect((await Peer.open(at)).lease('d')).resolves.toBeDefined();
  });
});

describe('visitors', () => {
  it('of an identity: one too many gets a TLS alert, or a reset on a public port', async () => {
    const at = await relay({ limits: { maxVisitorsPerIdentity: 1 }, ports: { tcp: 'any' } });
    const peer = await Peer.open(at);
    await peer.lease('web');
    const { tcpAddr } = await peer.lease('db', { mode: 'tcp', carrier: 'tls' });
    const first = await sendHello(at, 'web.localhost');
    await settled(() => Object.keys(at.counts().refused).length === 0 && at.counts().waiting === 1);
    expect((await (await sendHello(at, 'web.localhost')).closed).received).toEqual(INTERNAL_ERROR_ALERT);
    expect(await endOf(portOf(tcpAddr))).toBe('ECONNRESET');
    expect(at.counts().refused).toEqual({ maxVisitorsPerIdentity: 2 });
    first.socket.destroy();
    await settled(() => at.counts().waiting === 0);
    await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
  });
});

describe('connections of an address', () => {
  it('beyond the limit are reset, even on ports of leases, and closed ones make room', async () => {
    const at = await relay({ limits: { maxConnectionsPerAddress: 3 }, ports: { tcp: 'any' } });
    const peer = await Peer.open(at);
    const { tcpAddr } = await peer.lease('db', { mode: 'tcp', carrier: 'tls' });
    const held = [await tcp(at), await tcp(at)];
    expect(await endOf(at)).toBe('ECONNRESET');
    expect(await endOf(portOf(tcpAddr))).toBe('ECONNRESET');
    expect(at.counts().refused).toEqual({ maxConnectionsPerAddress: 2 });
    held[0]!.socket.destroy();
    await settled(() => at.counts().unrouted === 1);
    const asking = await tls(at);
    asking.socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await asking.until('ok');
  });

  it('exclude those on which an agent serves its visitors', async () => {
    const at = await relay({ limits: { maxConnectionsPerAddress: 4 } });
    const peer = await Peer.open(at);
    for (const carrier of ['raw', 'tls'] as const) {
      await peer.lease(carrier, { carrier });
      await peer.connectAll(carrier);
    }
    await expect((await sendHello(at, 'nobody.localhost')).closed).resolves.toMatchObject({ how: 'end' });
    expect(at.counts().refused).toEqual({});
  });
});

describe('bytes a second', () => {
  it('slows down and loses nothing, over both directions and all visitors', async () => {
    const at = await relay({ limits: { maxBytesPerSecondPerIdentity: 4_000_000 } });
    const port = await tcpService((socket) => {
      const hash = createHash('sha256');
      socket.on('data', (chunk) => hash.update(chunk));
      socket.on('end', () => socket.end(Buffer.concat([hash.digest(), body])));
    });
    const body = randomBytes(2_000_000);
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', port)));
    const visits = [1, 2].map(async () => {
      const visitor = await visit(at, 'web.localhost', one.ca);
      visitor.end(body);
      return readAll(visitor);
    });
    const startedAt = performance.now();
    for (const answer of await Promise.all(visits)) {
      expect(answer.subarray(0, 32)).toEqual(createHash('sha256').update(body).digest());
      expect(answer.subarray(32).equals(body)).toBe(true);
    }
    // Eight million bytes at four million a second, with a burst of one second's worth.
    expect(performance.now() - startedAt).toBeGreaterThan(900);
  });

  it('drops and counts datagrams beyond it, and does not affect others on the relay', async () => {
    const at = await relay({ ports: { udp: 'any' }, limits: { maxBytesPerSecondPerIdentity: 1 } });
    const echo = await udpService(() => undefined);
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp' })));
    const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
    const visitor = await udpVisitor(portOf(udpAddr).port);
    for (let count = 0; count < 5; count++) visitor.send(Buffer.alloc(50_000));
    await eventually(() => expect(at.counts().dropped.rate).toBeGreaterThanOrEqual(3));
    const { port } = await httpService((_request, response) => response.end('fast'));
    const two = await agent();
    await two.runner.apply(desired([at.spec], service('web', port)));
    expect((await get(at, 'web.localhost', two.ca)).text).toContain('fast');
  });
});
