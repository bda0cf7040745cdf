import { describe, expect, it } from 'vitest';
import { openControl } from '../../src/agent/connect.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { PortalError } from '../../src/lib/errors.js';
import { fakeRelay, type Channel } from '../support/fake-relay.js';
import { relay } from '../support/world.js';

/** A relay's own key, as agents meet it: proven over the very channel, or not believed. */

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
  it('is proven to whoever opens a session', async () => {
    const at = await relay();
    const seen: string[] = [];
    const channel = await connect(at.url, at.ca.certificatePem, (address) => seen.push(address));
    expect(seen).toEqual([at.address]);
    channel.close();
  });

  it('that is not the one that is trusted ends the session', async () => {
    const at = await relay();
    const refusal = new PortalError('relay_untrusted', 'another key');
    const refused = connect(at.url, at.ca.certificatePem, () => {
      throw refusal;
    });
    await expect(refused).rejects.toBe(refusal);
    await expect.poll(() => at.counts().sessions).toBe(0);
  });

  it.each([
    ['left out', { relay: undefined }, 'protocol'],
    [
      'proven over another channel',
      { relay: { address: generateIdentity().address, signature: generateIdentity().sign('Portal relay') } },
      'relay_untrusted',
    ],
  ])('%s is not believed', async (_what, over, code) => {
    const answer = (channel: Channel): void =>
      channel.say({
        type: 'welcome',
        session: 's',
        domain: 'localhost',
        publicPort: 443,
        capabilities: ['stream'],
        carriers: ['raw'],
        heartbeatMs: 60_000,
        graceMs: 0,
        ...over,
      });
    const fake = await fakeRelay((message, channel) => {
      if (message.type === 'hello') channel.challenge(message);
      else answer(channel);
    });
    await expect(connect(`https://${fake.authority}`, fake.caPem)).rejects.toMatchObject({ code });
  });
});
