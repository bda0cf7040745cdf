import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { RelaySession } from '../../src/agent/session/session.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { LIMITS } from '../../src/protocol/limits.js';
import { log } from '../support/log.js';
import { relay, type TestRelay } from '../support/world.js';
import { Peer, settled } from './relay-peer.js';

/** Every agent reconnects at the same moment, as after a restart of the relay. */

const AGENTS = 100;

function sessionOf(at: TestRelay): RelaySession {
  const session = new RelaySession({
    resolve: async () => ({ url: at.url, ca: at.ca.certificatePem }),
    identity: generateIdentity(),
    instance: randomUUID(),
    version: 'test',
    log,
  });
  onTestFinished(() => session.close());
  return session;
}

describe('a hundred agents', () => {
  it('all return to a restarted relay, a few at a time', async () => {
    const limits = { maxHandshakes: 16 };
    const first = await relay({ limits });
    const sessions = Array.from({ length: AGENTS }, () => sessionOf(first));
    const allConnected = (): void =>
      expect(sessions.filter((session) => session.status().state === 'connected')).toHaveLength(AGENTS);
    await eventually(allConnected, 60_000);
    await first.close();
    await eventually(() => expect(sessions.every((one) => one.status().state !== 'connected')).toBe(true));
    const second = await relay({ limits, port: first.port, ca: first.ca });
    await eventually(allConnected, 60_000);
    expect(second.counts().sessions).toBe(AGENTS);
    expect(second.counts().handshakes).toBe(0);
    // All of them have one address, which may use half of the slots.
    expect(second.counts().mostHandshakes).toBeLessThanOrEqual(limits.maxHandshakes / 2);
  }, 130_000);
});

/** A handshake that a client starts and does not continue. */
async function begun(at: TestRelay, options: Parameters<typeof Peer.connect>[1] = {}): Promise<Peer> {
  const peer = await Peer.connect(at, options);
  await peer.challenge();
  return peer;
}

describe('handshakes', () => {
  it('of one address use half of the slots; the rest get a time to retry, later the more there are', async () => {
    const at = await relay({ limits: { maxHandshakes: 4 } });
    await Promise.all([begun(at), begun(at)]);
    // On a slow machine, these two must not time out either.
    const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    onTestFinished(() => {
      clock.mockRestore();
    });
    const refusals: { status: number | undefined; retryAfter: number }[] = [];
    const refused = (): Promise<void> =>
      new Promise((resolve) => {
        void Peer.connect(at, {
          finishRequest: (request) => {
            request.on('response', ({ statusCode, headers }) => {
              refusals.push({ status: statusCode, retryAfter: Number(headers['retry-after']) });
              resolve();
            });
            request.end();
          },
        }).catch(() => undefined);
      });
    for (let count = 0; count < 20; count++) await refused();
    expect(new Set(refusals.map(({ status }) => status))).toEqual(new Set([503]));
    expect(refusals[0]!.retryAfter).toBe(1);
    expect(refusals.at(-1)!.retryAfter).toBeGreaterThan(1);
    expect(refusals.at(-1)!.retryAfter).toBeLessThanOrEqual(LIMITS.maxComeBackMs / 1000);
    expect(at.counts().refused).toEqual({ maxHandshakes: 20 });
  });

  it('begin at hello: a slot that was free at the upgrade may then be in use', async () => {
    const at = await relay({ limits: { maxHandshakes: 2 } });
    const [first, second] = [await Peer.connect(at), await Peer.connect(at)];
    await first.challenge();
    second.challenge().catch(() => undefined);
    const { code, retryAfterMs } = await second.next('error');
    expect(code).toBe('relay_busy');
    expect(retryAfterMs).toBeGreaterThanOrEqual(1_000);
    await second.closed;
  });

  it('that prove nothing for long are replaced by new ones', async () => {
    const at = await relay({ limits: { maxHandshakes: 2 } });
    const late = await begun(at);
    await expect(Peer.connect(at)).rejects.toThrow('503');
    const later = performance.now() + LIMITS.handshakeShareMs + 1;
    const clock = vi.spyOn(performance, 'now').mockReturnValue(later);
    onTestFinished(() => {
      clock.mockRestore();
    });
    await Peer.open(at);
    await late.closed;
    await settled(() => at.counts().sessions === 1);
  });

  it('of the address with most of them are replaced by an agent’s from another address, which is not rejected', async () => {
    const at = await relay({ limits: { maxHandshakes: 5 } });
    const crowd: Peer[] = [];
    for (const localAddress of ['127.0.1.1', '127.0.1.1', '127.0.1.2', '127.0.1.2', '127.0.1.3'])
      crowd.push(await begun(at, { localAddress }));
    await Peer.open(at);
    expect(await crowd[0]!.next('error')).toMatchObject({ code: 'relay_busy' });
    await crowd[0]!.closed;
    expect(at.counts()).toMatchObject({ sessions: 5, handshakes: 4, refused: {} });
  });

  it('of an address with only one are not replaced by one from the same range', async () => {
    const at = await relay({ limits: { maxHandshakes: 3 } });
    const others = [];
    for (const localAddress of ['127.0.1.1', '127.0.2.2', '127.0.3.3'])
      others.push(await begun(at, { localAddress }));
    await expect(Peer.connect(at)).rejects.toThrow('503');
    for (const other of others) {
      other.say({ type: 'prove', signature: '' });
      expect(await other.next('error')).toMatchObject({ code: 'protocol' });
    }
  });

  it('use no slot before hello, however many channels there are', async () => {
    const at = await relay({ limits: { maxHandshakes: 2 } });
    for (let n = 1; n <= 8; n++) await Peer.connect(at, { localAddress: `127.0.1.${n}` });
    await Peer.open(at);
    expect(at.counts()).toMatchObject({ sessions: 1, mostHandshakes: 1, refused: {} });
  });

  it('without a hello are requests, of which the address with most loses its oldest', async () => {
    const at = await relay({ limits: { maxRequestConnections: 4 } });
    const crowd: Peer[] = [];
    for (let n = 0; n < 4; n++) crowd.push(await Peer.connect(at, { localAddress: '127.0.1.1' }));
    await Peer.open(at);
    await crowd[0]!.closed;
    expect(at.counts()).toMatchObject({ sessions: 1, refused: { maxRequestConnections: 1 } });
  });

  it('require proof of work once many prove nothing, and an agent does it', async () => {
    const at = await relay({ limits: { maxHandshakes: 16 } });
    const requested = async (): Promise<string | undefined> => {
      let header: string | undefined;
      await Peer.connect(at, {
        finishRequest: (request) => {
          request.on('upgrade', ({ headers }) => (header = headers['portal-work'] as string | undefined));
          request.end();
        },
      });
      return header;
    };
    expect(await requested()).toBeUndefined();
    for (const localAddress of ['127.0.1.1', '127.0.1.2', '127.0.1.3']) {
      const peer = await begun(at, { localAddress });
      peer.ws.close();
      await peer.closed;
    }
    await settled(() => at.counts().sessions === 0);
    expect(await requested()).toMatch(/^9 [0-9a-f]{32}$/);
    const idle = await Peer.connect(at);
    idle.challenge({ work: 'none' }).catch(() => undefined);
    expect(await idle.next('error')).toMatchObject({
      code: 'relay_busy',
      retryAfterMs: LIMITS.handshakeShareMs,
    });
    await Peer.open(at);
    const session = sessionOf(at);
    await eventually(() => expect(session.status().state).toBe('connected'));
  });
});
