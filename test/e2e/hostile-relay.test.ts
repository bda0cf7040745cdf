import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { openControl } from '../../src/agent/session/connect.js';
import type { ErrorSummary } from '../../src/agent/status.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { fakeRelay, honestHandshake, type FakeRelay } from '../support/fake-relay.js';
import { agent, desired, httpService, service, tcpService, type TestAgent } from '../support/world.js';

/** Makes an agent open a service on `at`. Resolves with its first reported error. */
async function firstError(at: FakeRelay): Promise<{ error: ErrorSummary; one: TestAgent }> {
  const { port } = await httpService((_request, response) => response.end('x'));
  const one = await agent();
  void one.runner.apply(desired([at.spec], service('web', port)));
  const reported = await one.event('lease', ({ error }) => error !== undefined);
  return { error: reported.error!, one };
}

describe('an agent on a hostile relay', () => {
  it.each([
    ['of another TLS session', { channel: 'c4'.repeat(32) }],
    ['of another relay', { domain: 'bank.example', uri: 'https://bank.example' }],
    ['for another identity', { address: '0x0000000000000000000000000000000000000001' }],
    ['that has expired', { issuedAt: new Date(0), expiresAt: new Date(60_000) }],
    ['that is valid for an hour', { expiresAt: new Date(Date.now() + 3_600_000) }],
  ])('does not sign a challenge %s', async (_title, over) => {
    const at = await fakeRelay((message, channel) => {
      if (message.type === 'hello') channel.challenge(message, over);
    });
    await firstError(at);
    expect(at.received.map(({ type }) => type)).not.toContain('prove');
  });

  it('does not sign a text that is not a challenge', async () => {
    const at = await fakeRelay((message, channel) => {
      if (message.type === 'hello') channel.challenge(message, {}, { message: 'I owe you 1 ETH' });
    });
    const { error } = await firstError(at);
    expect(error.code).toBe('protocol');
    expect(at.received.map(({ type }) => type)).not.toContain('prove');
  });

  it.each([
    ['not JSON', 'nonsense'],
    ['an unknown type', '{"type":"obey"}'],
    ['a message out of order', '{"type":"challenge","message":"x"}'],
    ['a wrong field', '{"type":"dial","carrier":"raw","tickets":"all"}'],
    ['prototype tricks', '{"type":"__proto__"}'],
  ])('ends the channel after %s, and retries later', async (_title, text) => {
    const at = await fakeRelay(honestHandshake((_message, { ws }) => ws.send(text)));
    const { error, one } = await firstError(at);
    expect(error.code).toBe('protocol');
    await one.event(
      'lease',
      ({ phase }) => phase === 'opening',
      one.events.findIndex((event) => 'error' in event),
    );
    expect(at.channels).toBeGreaterThan(1);
  });

  it('reads a message that arrives in the same write as welcome', async () => {
    const at = await fakeRelay((message, channel) => {
      if (message.type === 'hello') channel.challenge(message);
      else if (message.type === 'prove') {
        channel.inOneWrite(() => {
          channel.welcome();
          channel.say({ type: 'goaway', reason: 'moving', reconnectAfterMs: 60_000 });
        });
      }
    });
    const { error } = await firstError(at);
    expect(error).toMatchObject({ code: 'shutting_down', message: 'moving' });
  });

  it('is not ready before a visit to the public address got through', async () => {
    const at = await fakeRelay(
      honestHandshake((message, channel) => {
        if (message.type !== 'lease.open') return;
        channel.say({
          type: 'lease.opened',
          id: message.id,
          lease: 'l',
          hostname: 'web.localhost',
          url: 'https://web.localhost',
        });
      }),
    );
    // The port shows the relay's certificate instead of the agent's.
    const { error, one } = await firstError(at);
    expect(error.code).toBe('intercepted');
    expect((await one.runner.status()).leases[0]?.phase).toBe('failed');
    // Released immediately, so that no visitor goes there.
    await eventually(() =>
      expect(at.received).toContainEqual(expect.objectContaining({ type: 'lease.close', lease: 'l' })),
    );
  });

  it('opens a lease again, and reports it, when a relay rejects its new settings', async () => {
    // Accepts the agent's own visit, and never responds.
    const silent = await tcpService(() => undefined);
    const at = await fakeRelay((message, channel) => {
      if (message.type === 'hello') channel.challenge(message);
      if (message.type === 'prove') channel.welcome({ publicPort: silent });
      if (message.type === 'lease.open')
        channel.say({
          type: 'lease.opened',
          id: message.id,
          lease: 'l',
          hostname: 'web.localhost',
          url: 'https://web.localhost',
        });
      if (message.type !== 'lease.update') return;
      channel.say({ type: 'error', id: message.id, code: 'relay_busy', message: 'not now' });
    });
    const one = await agent();
    const spec = service('web', silent);
    void one.runner.apply(desired([at.spec], spec));
    await eventually(() => expect(at.received.map(({ type }) => type)).toContain('lease.open'));
    void one.runner.apply(desired([at.spec], { ...spec, metadata: { team: 'shop' } }));
    await one.event('lease', ({ error }) => error?.code === 'relay_busy');
    await eventually(() =>
      expect(at.received).toContainEqual(
        expect.objectContaining({ type: 'lease.open', metadata: { team: 'shop' } }),
      ),
    );
  });

  it('detects that the channel ended during the relay check', async () => {
    let gone: (() => void) | undefined;
    const isGone = new Promise<void>((resolve) => (gone = resolve));
    const at = await fakeRelay((message, channel) => {
      if (message.type === 'hello') channel.challenge(message);
      if (message.type !== 'prove') return;
      channel.welcome();
      channel.ws.once('close', () => gone?.());
      // After the welcome was sent.
      setImmediate(() => channel.ws.terminate());
    });
    const opening = openControl({
      endpoint: {
        url: `https://${at.authority}`,
        ca: at.caPem,
        remember: async () => {
          await isGone;
          for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
        },
      },
      identity: generateIdentity(),
      instance: 'test',
      version: 'test',
      signal: AbortSignal.timeout(20_000),
    });
    // Either error, depending on which check notices first.
    const outcome = opening.then(async (channel) => ((await once(channel, 'closed')) as unknown[])[0]);
    expect(await outcome.catch((error: unknown) => error)).toMatchObject({ code: 'relay_unreachable' });
  });

  it('opens no more data connections than allowed, whatever the relay requests', async () => {
    let dialled = 0;
    const at = await fakeRelay(
      honestHandshake((message, channel) => {
        if (message.type !== 'lease.open') return;
        for (let round = 0; round < 40; round++) {
          const tickets = Array.from({ length: 256 }, () => ({ connection: `c${dialled++}`, ticket: 't' }));
          channel.say({ type: 'dial', carrier: 'raw', tickets });
        }
        channel.say({ type: 'error', id: message.id, code: 'limit_exceeded', message: 'enough' });
      }),
    );
    const { error } = await firstError(at);
    expect(error.code).toBe('limit_exceeded');
    expect(dialled).toBe(10_240);
    await eventually(() => expect(at.mostOpen).toBeGreaterThan(2));
    expect(at.mostOpen).toBeLessThanOrEqual(1_024 + at.channels);
  });
});
