import { expect, it } from 'vitest';
import type { Names } from './names.js';
import { checkUrlRelay } from './url-relay.js';

const URL_OF_RELAY = 'https://relay.example.com';

async function dnsFinding(lookup: Promise<string[]>) {
  const names = { ofMachine: () => lookup } as unknown as Names;
  const context = { names, agentRuns: false, locked: undefined };
  const { subject } = await checkUrlRelay({ kind: 'url', url: URL_OF_RELAY }, [], context);
  return subject.findings.find(({ check }) => check === 'relay.dns');
}

it('distinguishes a name without an address from DNS that does not respond', async () => {
  expect(await dnsFinding(Promise.resolve([]))).toMatchObject({
    message: 'relay.example.com has no address in DNS',
    hint: expect.stringContaining('create the DNS records') as string,
  });
  const failure = Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' });
  const finding = await dnsFinding(Promise.reject(failure));
  expect(finding).toMatchObject({
    message: 'DNS does not respond for relay.example.com (EAI_AGAIN)',
    hint: 'Check that this machine is online, and that its DNS server responds.',
  });
});
