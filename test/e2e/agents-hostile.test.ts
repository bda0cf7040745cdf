import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { AgentsClient } from '../../src/agent/agents-client.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { buildChallenge, STATEMENTS, type ChallengeFields } from '../../src/protocol/challenge.js';
import { channelOf } from '../../src/protocol/channel.js';
import { proveRelay } from '../../src/protocol/relay-proof.js';
import { LIMITS } from '../../src/protocol/limits.js';
import { temporaryFolder } from '../support/folder.js';

/** Signing in at a hostile relay: the client signs nothing that works elsewhere, and believes nothing unproven. */

interface Bad {
  /**
   * What it sends instead of an honest relay's values: fields of the challenge, of its response, of the response to the
   * proof, a link.
   */
  readonly challenge?: Partial<ChallengeFields>;
  readonly challenged?: object;
  readonly signedIn?: object;
  readonly link?: string;
  /** The request that gets no response, an endless one, or a truncated one. */
  readonly silentAt?: string;
  readonly endlessAt?: string;
  readonly cutAt?: string;
}

async function relayThat(bad: Bad) {
  const ca = await openLocalCa(await temporaryFolder());
  const key = generateIdentity();
  const requested: string[] = [];
  const server: Server = createServer(await ca.issue(['localhost']), (request, response) => {
    void answer(request, response);
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url!;
    requested.push(`${request.method} ${path}`);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    if (path === bad.silentAt) return;
    if (path === bad.cutAt) return void request.socket.destroy();
    if (path === bad.endlessAt) return endless(response);
    const said = text === '' ? {} : (JSON.parse(text) as Record<string, string>);
    response.end(JSON.stringify(answerTo(path, said, request.socket as TLSSocket)));
  };
  const answerTo = (path: string, said: Record<string, string>, socket: TLSSocket): object => {
    if (path === '/v1/sign-in/challenge') {
      const channel = channelOf(socket)!;
      const issuedAt = new Date();
      const fields = {
        domain: authority,
        address: said['address']!,
        uri: url,
        nonce: 'abcdefgh12345678',
        issuedAt,
        expiresAt: new Date(issuedAt.getTime() + 60_000),
        channel,
        statement: STATEMENTS.signIn,
        ...bad.challenge,
      };
      return {
        nonce: fields.nonce,
        message: buildChallenge(fields),
        relay: proveRelay(key, { url, nonce: said['relayNonce'] ?? '', channel }),
        ...bad.challenged,
      };
    }
    if (path === '/v1/sign-in')
      return {
        identity: '0x',
        token: 't',
        expiresAt: 'then',
        ...bad.signedIn,
      };
    if (path === '/v1/sign-in/link') return { url: bad.link ?? `${url}/agents#x`, expiresAt: 'then' };
    return { relay: url, identity: '0x', now: 'n', agents: [], names: [] };
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const authority = `localhost:${(server.address() as AddressInfo).port}`;
  const url = `https://${authority}`;
  const met: string[] = [];
  const signIn = async (ms = 5_000): Promise<AgentsClient> => {
    const endpoint = { url, ca: ca.certificatePem, trust: (address: string) => void met.push(address) };
    const client = await AgentsClient.signIn({ endpoint, identity: generateIdentity(), ms });
    onTestFinished(() => client.close());
    return client;
  };
  return { signIn, requested, met, key, url };
}

/** More than a client reads. */
function endless(response: ServerResponse): void {
  const chunk = Buffer.alloc(1024 * 1024, ' ');
  const write = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', write).on('error', () => undefined);
  write();
}

it('signs in at an honest relay, with the key that it proved', async () => {
  const { signIn, met, key, requested } = await relayThat({});
  const client = await signIn();
  expect(met).toEqual([key.address]);
  expect((await client.agents()).agents).toEqual([]);
  await client.close();
  expect(requested).toEqual([
    'POST /v1/sign-in/challenge',
    'POST /v1/sign-in',
    'GET /v1/agents',
    'DELETE /v1/sign-in',
  ]);
});

it.each<[string, Bad['challenge'], string]>([
  ['that would open a session', { statement: STATEMENTS.control }, 'unauthorized'],
  ['of another relay', { domain: 'other.example', uri: 'https://other.example' }, 'unauthorized'],
  ['for another identity', { address: generateIdentity().address }, 'unauthorized'],
  ['that is valid for long', { expiresAt: new Date(Date.now() + 3_600_000) }, 'unauthorized'],
  ['of another TLS session', { channel: 'c4'.repeat(32) }, 'relay_untrusted'],
  ['that has expired', { expiresAt: new Date(Date.now() - 1_000) }, 'expired'],
])('does not sign a challenge %s', async (_what, challenge, code) => {
  const { signIn, requested } = await relayThat({ challenge: challenge! });
  await expect(signIn()).rejects.toMatchObject({ code });
  expect(requested).toEqual(['POST /v1/sign-in/challenge']);
});

it('signs nothing for a relay that does not prove its key, or uses the proof of another connection', async () => {
  const other = generateIdentity();
  const relay = { address: other.address, signature: other.sign('Portal relay\n\nURL: …') };
  for (const [challenged, code] of [
    [{ relay: undefined }, 'protocol'],
    [{ relay }, 'relay_untrusted'],
    [{ relay: { ...relay, signature: '0x' } }, 'relay_untrusted'],
    [{ relay: { ...relay, address: 'mine' } }, 'unauthorized'],
    [{ message: 'a'.repeat(LIMITS.maxChallengeChars + 1) }, 'protocol'],
  ] as const) {
    const { signIn, requested, met } = await relayThat({ challenged });
    await expect(signIn()).rejects.toMatchObject({ code });
    expect(requested).toHaveLength(1);
    expect(met).toEqual([]);
  }
});

it('rejects a malformed response to the proof', async () => {
  const { signIn } = await relayThat({ signedIn: { token: 7 } });
  await expect(signIn()).rejects.toMatchObject({ code: 'protocol' });
});

it('does not open a link to another site', async () => {
  for (const link of ['https://evil.example/agents#x', 'javascript:alert(1)', '//evil.example', 'x']) {
    const client = await (await relayThat({ link })).signIn();
    await expect(client.link()).rejects.toMatchObject({ code: 'protocol' });
  }
});

it('times out with a clear error on a missing, endless or truncated response', async () => {
  const late = await relayThat({ silentAt: '/v1/sign-in' });
  await expect(late.signIn(200)).rejects.toMatchObject({ code: 'timeout' });
  const endlessly = await (await relayThat({ endlessAt: '/v1/agents' })).signIn();
  await expect(endlessly.agents()).rejects.toMatchObject({ code: 'limit_exceeded' });
  const cut = await (await relayThat({ cutAt: '/v1/agents' })).signIn();
  await expect(cut.agents()).rejects.toMatchObject({ code: 'relay_unreachable' });
  // It does not retry on another connection, possibly to another relay.
  await expect(cut.agents()).rejects.toMatchObject({ code: 'relay_unreachable' });
});
