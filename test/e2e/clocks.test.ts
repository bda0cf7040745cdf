import { once } from 'node:events';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { chain } from '../support/chain.js';
import { fakeRelay, honestHandshake } from '../support/fake-relay.js';
import { agent, desired, get, relay, service, tcpService, visit } from '../support/world.js';

/** Clocks that are wrong, and clocks that change while everything runs. */

const HOUR_MS = 3_600_000;

/** Sets the clock of this process `ms` ahead from now on. Timers are unaffected. */
function advanceClock(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
}

const echoing = (): Promise<number> =>
  tcpService((socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString().startsWith('GET')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
      else socket.write(chunk);
    });
    socket.on('end', () => socket.end());
  });

describe('a session', () => {
  it.each([
    ['ahead', 6 * HOUR_MS],
    ['back', -6 * HOUR_MS],
  ])('does not notice that the clock is set %s', async (_what, ms) => {
    onTestFinished(() => void vi.useRealTimers());
    const limits = { heartbeatMs: 1_000, idleDataConnectionMs: 400 };
    const { entry, exit, spec } = await chain(2, { limits }, { limits });
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await echoing())));
    await one.event('ready');
    const talk = await visit(entry, 'app.localhost', one.ca);
    const seen = one.events.length;
    const opened = [entry, exit].map((each) => each.stats().sessionsOpened);
    advanceClock(ms);
    const since = performance.now();
    // Some heartbeats, and a generation of data connections.
    await expect.poll(() => performance.now() - since).toBeGreaterThan(2_500);
    talk.write('still here');
    expect(String(((await once(talk, 'data')) as [Buffer])[0])).toBe('still here');
    expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
    expect(one.events.slice(seen)).toEqual([]);
    expect([entry, exit].map((each) => each.stats().sessionsOpened)).toEqual(opened);
    expect((await one.runner.status()).leases).toMatchObject([{ phase: 'ready', retries: 0 }]);
  });

  it('reopens normally after that', async () => {
    onTestFinished(() => void vi.useRealTimers());
    const at = await relay();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('app', await echoing())));
    await one.event('ready');
    // Not ahead: OpenSSL would reject the new relay's certificate as not yet valid.
    advanceClock(-6 * HOUR_MS);
    const seen = one.events.length;
    await at.close();
    await one.event('lease', ({ phase }) => phase === 'retrying', seen);
    const again = await relay({ port: at.port, ca: at.ca });
    await one.event('lease', ({ phase }) => phase === 'ready', seen);
    expect(again.counts()).toMatchObject({ sessions: 1, leases: 1 });
  });
});

describe('an agent whose clock differs from its relay’s', () => {
  it.each([
    ['ahead', HOUR_MS],
    ['behind', -HOUR_MS],
  ])('%s, signs nothing, reports why, and recovers once the clocks agree', async (_what, ms) => {
    let offMs = ms;
    const at = await fakeRelay((message, channel) => {
      if (message.type === 'hello') {
        const issuedAt = new Date(Date.now() - offMs);
        channel.challenge(message, { issuedAt, expiresAt: new Date(issuedAt.getTime() + 60_000) });
      } else honestHandshake(() => undefined)(message, channel);
    });
    const one = await agent();
    void one.runner.apply(desired([at.spec], service('app', 1)));
    const reported = await one.event('lease', ({ error }) => error !== undefined);
    expect(reported).toMatchObject({ phase: 'retrying', error: { code: 'expired' } });
    expect(at.received.map(({ type }) => type)).not.toContain('prove');
    offMs = 0;
    await one.event('lease', ({ phase }) => phase === 'opening');
    await expect.poll(() => at.received.map(({ type }) => type)).toContain('lease.open');
  });

  it('recovers after the relay reported it', async () => {
    let isRight = false;
    const at = await fakeRelay((message, channel) => {
      if (message.type !== 'prove' || isRight) return honestHandshake(() => undefined)(message, channel);
      channel.say({ type: 'error', code: 'expired', message: 'the proof came too early' });
      channel.ws.close(1008, 'expired');
    });
    const one = await agent();
    void one.runner.apply(desired([at.spec], service('app', 1)));
    const reported = await one.event('lease', ({ error }) => error !== undefined);
    expect(reported).toMatchObject({ phase: 'retrying', error: { code: 'expired' } });
    isRight = true;
    await one.event('lease', ({ phase }) => phase === 'opening');
  });
});
