import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { service, tcpService } from '../../../test/support/world.js';
import type { Names } from './names.js';
import { checkService } from './service.js';

async function dnsFinding(addresses: string[], here: string[] = []) {
  const port = await tcpService(() => undefined);
  const { findings } = await checkService(service('web', port, { mode: 'stream' }), {
    names: {
      addresses: () => Promise.resolve(addresses),
      onlyHere: () => Promise.resolve(here),
    } as unknown as Names,
    relays: [
      {
        key: 'https://relay.example.com',
        domain: 'relay.example.com',
        port: 443,
        addresses: ['192.0.2.1', '2001:db8::1'],
        isEmbedded: false,
      },
    ],
    address: undefined,
    acmeDir: await temporaryFolder(),
    sessions: undefined,
  });
  return findings.find(({ check }) => check === 'service.dns');
}

it('accepts a name that resolves to an address of the relay', async () => {
  expect(await dnsFinding(['2001:db8::1'])).toMatchObject({ level: 'ok' });
});

it('names the record that is missing for all names', async () => {
  expect(await dnsFinding([])).toMatchObject({
    level: 'problem',
    message: 'web.relay.example.com has no address in DNS, so visitors cannot reach it',
    hint: expect.stringContaining('*.relay.example.com. CNAME relay.example.com.') as string,
  });
});

it('says that only this machine can reach a name of its hosts file', async () => {
  expect(await dnsFinding([], ['10.0.0.5'])).toMatchObject({
    level: 'warning',
    message:
      'web.relay.example.com resolves to 10.0.0.5 only on this machine (hosts file); DNS has no address for other visitors',
    hint: expect.stringContaining('*.relay.example.com. CNAME relay.example.com.') as string,
  });
});

it('warns about a name that resolves to another server than the relay', async () => {
  expect(await dnsFinding(['192.0.2.77'])).toMatchObject({
    level: 'warning',
    message:
      'web.relay.example.com resolves to 192.0.2.77, and the relay relay.example.com to 192.0.2.1, 2001:db8::1',
    hint: expect.stringContaining('*.relay.example.com. CNAME relay.example.com.') as string,
  });
});
