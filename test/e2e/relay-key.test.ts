import { describe, expect, it } from 'vitest';
import { openControl } from '../../src/agent/session/connect.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { PortalError } from '../../src/lib/errors.js';
import { fakeRelay, honestHandshake } from '../support/fake-relay.js';
import { relay } from '../support/world.js';
import { Peer } from './relay-peer.js';

/** A relay's own key, as agents see it: they trust only a proof on the same channel. */

/** Its r is not the x coordinate of a point. */
const NO_KEY = `0x${'ff'.repeat(64)}1b`;

const connect = (
  url: string,
  ca: string,
  trust: (address: string) => void = () => undefined,
): ReturnType<typeof openControl> =>
  openControl({
    endpoint: { url, ca, trust },
    identity: generateIdentity(),
    instance: 'i',
    version: 'test',
    signal: AbortSignal.timeout(10_000),
  });

describe("the relay's own key", () => {
  it('is proven to everyone who opens a session', async () => {
    const at = await relay();
    const seen: string[] = [];
    const channel = await connect(at.url, at.ca.certificatePem, (address) => seen.push(address));
    expect(seen).toEqual([at.address]);
    channel.close();
  });

  it('ends the session if it is not the trusted one', async () => {
    const at = await relay();
    const refusal = new PortalError('relay_untrusted', 'another key');
    const refused = connect(at.url, at.ca.certificatePem, () => {
      throw refusal;
    });
    await expect(refused).rejects.toBe(refusal);
    await expect.poll(() => at.counts().sessions).toBe(0);
  });

  it.each([
    ['missing', { relay: undefined }, 'protocol'],
    [
      'proven over another channel',
      { relay: { address: generateIdentity().address, signature: generateIdentity().sign('Portal relay') } },
      'relay_untrusted',
    ],
    [
      'with a signature that fits no key',
      { relay: { address: generateIdentity().address, signature: NO_KEY } },
      'relay_untrusted',
    ],
  ])('gets nothing signed if it is %s', async (_what, message, code) => {
    const trusted: string[] = [];
    const fake = await fakeRelay((said, channel) => {
      if (said.type === 'hello') channel.challenge(said, {}, message);
    });
    const connecting = connect(`https://${fake.authority}`, fake.caPem, (address) => trusted.push(address));
    await expect(connecting).rejects.toMatchObject({ code });
    expect(fake.received.map(({ type }) => type)).toEqual(['hello']);
    expect(trusted).toEqual([]);
  });

  it('is recorded once the relay has opened a session, and not before', async () => {
    const steps: string[] = [];
    const fake = await fakeRelay((said, channel) => {
      steps.push(said.type);
      if (said.type === 'hello') channel.challenge(said);
      else channel.welcome();
    });
    const channel = await openControl({
      endpoint: {
        url: `https://${fake.authority}`,
        ca: fake.caPem,
        trust: () => void steps.push('trust'),
        remember: () => void steps.push('remember'),
      },
      identity: generateIdentity(),
      instance: 'i',
      version: 'test',
      signal: AbortSignal.timeout(10_000),
    });
    channel.close();
    expect(steps).toEqual(['hello', 'trust', 'prove', 'remember']);
  });

  it('is not proven in TLS 1.2, where an agent signs nothing', async () => {
    const at = await relay();
    const old = await Peer.connect(at, { maxVersion: 'TLSv1.2' });
    await expect(old.challenge()).rejects.toThrow('a control channel needs TLS 1.3');
    const fake = await fakeRelay(
      honestHandshake(() => undefined),
      undefined,
      { maxVersion: 'TLSv1.2' },
    );
    await expect(connect(`https://${fake.authority}`, fake.caPem)).rejects.toMatchObject({
      code: 'relay_untrusted',
      message: expect.stringContaining('TLSv1.2'),
    });
    expect(fake.received.map(({ type }) => type)).toEqual(['hello']);
  });
});
