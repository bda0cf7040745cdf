import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { AgentsClient } from '../../src/agent/agents-client.js';
import { openControl } from '../../src/agent/session/connect.js';
import type { RelayEndpoint } from '../../src/agent/session/relay-endpoint.js';
import { RelayLock } from '../../src/config/files/lock.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { channelOf } from '../../src/protocol/channel.js';
import { proveRelay } from '../../src/protocol/relay-proof.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/folder.js';
import { middleman, type Tampering } from '../support/middleman.js';
import { freePort } from '../support/ports.js';
import { relay } from '../support/world.js';

/**
 * A middleman terminates TLS for a relay's name, with a certificate that the agent trusts, and forwards the messages of
 * agent and relay. The result: no session at the relay, no sign-in, and an agent that reports why.
 */

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

const WAYS = {
  'a control channel': (endpoint: RelayEndpoint) =>
    openControl({ endpoint, identity: generateIdentity(), instance: 'i', version: 'v', signal: signal() }),
  'a control channel through a chain': ({ url, ...endpoint }: RelayEndpoint) =>
    openControl({
      endpoint: {
        ...endpoint,
        url,
        via: {
          hides: true,
          open: async (_host, port) => {
            const socket = connect({ port, host: '127.0.0.1' });
            await once(socket, 'connect');
            return socket;
          },
        },
      },
      identity: generateIdentity(),
      instance: 'i',
      version: 'v',
      signal: signal(),
    }),
  'a sign-in': (endpoint: RelayEndpoint) =>
    AgentsClient.signIn({ endpoint, identity: generateIdentity(), ms: 10_000 }),
} as const;

/** A relay behind a middleman, as an agent reaches it. `isKnown`: its key is in portal.lock. */
async function attacked({ tampering, isKnown }: { tampering?: Tampering; isKnown: boolean }) {
  const port = await freePort();
  const real = await relay({ publicPort: port });
  const between = await middleman(real, port, tampering);
  const lock = new RelayLock({ file: `${await temporaryFolder()}/portal.lock` });
  if (isKnown) await lock.trust(real.url, real.address);
  const endpoint: RelayEndpoint = {
    url: real.url,
    ca: real.ca.certificatePem,
    trust: (address) => lock.check(real.url, address),
    remember: (address) => lock.trust(real.url, address),
  };
  return { real, between, endpoint };
}

const SIGNED = ['prove', 'POST /v1/sign-in'];
const IN = ['welcome', '200'];

const own = generateIdentity();

/** Proves the middleman's own key, over its channel with the agent. */
const ownKey: NonNullable<Tampering['challenge']> = ({ message }, { nonce }, socket) => ({
  message,
  relay: proveRelay(own, { url: urlIn(message), nonce, channel: channelOf(socket)! }),
});

/** Requests a signature for the middleman's channel with the agent. */
const ownChannel: NonNullable<Tampering['challenge']> = ({ message, relay: proof }, _hello, socket) => ({
  message: message.replace(/channel:[0-9a-f]{64}/, `channel:${channelOf(socket)!}`),
  relay: proof,
});

const ownKeyAndChannel: NonNullable<Tampering['challenge']> = (challenge, hello, socket) =>
  ownKey(ownChannel(challenge, hello, socket), hello, socket);

const urlIn = (message: string): string => /^URI: (.*)$/m.exec(message)![1]!;

describe.each(Object.entries(WAYS))('%s to a middleman', (_way, open) => {
  it.each([
    ['forwards everything', {}],
    ["forwards the relay's proof with another challenge", { challenge: ownChannel }],
  ])('who %s gets nothing signed, whether the relay is known or not', async (_what, tampering) => {
    for (const isKnown of [true, false]) {
      const { real, between, endpoint } = await attacked({ isKnown, tampering });
      await expect(open(endpoint)).rejects.toMatchObject({
        code: 'relay_untrusted',
        message: expect.stringContaining(real.url),
        hint: expect.stringContaining('intercepts TLS'),
      });
      expect(between.received).not.toEqual(expect.arrayContaining([expect.toBeOneOf(SIGNED)]));
      await eventually(() => expect(real.counts().sessions).toBe(0));
    }
  });

  it('who proves another key gets nothing signed if portal.lock has the relay’s', async () => {
    const { between, endpoint } = await attacked({
      isKnown: true,
      tampering: { challenge: ownKeyAndChannel },
    });
    await expect(open(endpoint)).rejects.toMatchObject({ code: 'relay_key_changed' });
    expect(between.received).not.toEqual(expect.arrayContaining([expect.toBeOneOf(SIGNED)]));
  });

  it('who forwards the relay’s own challenge gets nothing signed', async () => {
    const { between, endpoint } = await attacked({ isKnown: false, tampering: { challenge: ownKey } });
    await expect(open(endpoint)).rejects.toMatchObject({
      code: 'relay_untrusted',
      message: expect.stringContaining('the agent signed nothing'),
    });
    expect(between.received).not.toEqual(expect.arrayContaining([expect.toBeOneOf(SIGNED)]));
  });

  it('who gets a signature for its own channel is rejected by the relay', async () => {
    const tampering = { challenge: ownKeyAndChannel };
    const { real, between, endpoint } = await attacked({ isKnown: false, tampering });
    await expect(open(endpoint)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(between.received).toEqual(expect.arrayContaining([expect.toBeOneOf(SIGNED)]));
    expect(between.answered.slice(1)).not.toEqual(expect.arrayContaining([expect.toBeOneOf(IN)]));
    await eventually(() => expect(real.counts().sessions).toBe(0));
  });
});
