import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { service, tcpService } from '../../../test/support/world.js';
import { openLocalCa } from '../../certificates/local-ca.js';
import { AcmeStore } from '../../certificates/acme/store.js';
import type { TlsSpec } from '../../certificates/spec.js';
import { PortalError } from '../../lib/errors.js';
import type { Names } from './names.js';
import { Cas } from './cas.js';
import { checkService } from './service.js';

async function dnsFinding(addresses: string[] | undefined, here: string[] = []) {
  return (await findingsOf({ addresses, here })).find(({ check }) => check === 'service.dns');
}

interface Case {
  /** Undefined: DNS fails. */
  readonly addresses: string[] | undefined;
  readonly here?: string[];
  readonly tls?: TlsSpec;
  readonly acmeDir?: string;
  readonly domain?: string;
}

async function findingsOf({
  addresses,
  here = [],
  tls,
  acmeDir = 'none',
  domain = 'relay.example.com',
}: Case) {
  const port = await tcpService(() => undefined);
  const { findings } = await checkService(service('web', port, { mode: 'stream', ...(tls && { tls }) }), {
    names: {
      addresses: () => (addresses ? Promise.resolve(addresses) : Promise.reject(new Error('refused'))),
      onlyHere: () => Promise.resolve(here),
      caa: () => Promise.resolve(undefined),
    } as unknown as Names,
    cas: new Cas(),
    relays: [
      {
        key: 'https://relay.example.com',
        domain,
        port: 443,
        addresses: ['192.0.2.1', '2001:db8::1'],
        isEmbedded: false,
      },
    ],
    address: undefined,
    acmeDir,
    sessions: undefined,
  });
  return findings;
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

it('does not blame the hosts file if DNS does not respond', async () => {
  expect(await dnsFinding(undefined, ['10.0.0.5'])).toMatchObject({
    level: 'warning',
    message: 'DNS does not respond for web.relay.example.com',
  });
});

it('warns about a name that does not resolve to the relay', async () => {
  expect(await dnsFinding(['192.0.2.77'])).toMatchObject({
    level: 'warning',
    message:
      'web.relay.example.com resolves to 192.0.2.77, and the relay relay.example.com to 192.0.2.1, 2001:db8::1',
    hint: expect.stringContaining('*.relay.example.com. CNAME relay.example.com.') as string,
  });
});

const ACME = { source: 'acme', directory: 'https://127.0.0.1:1/dir' } as const;

const certificateFinding = async (addresses: string[], acmeDir: string) =>
  (await findingsOf({ addresses, tls: ACME, acmeDir })).find(({ check }) => check === 'service.certificate');

it('does not promise a certificate for a name without a DNS record', async () => {
  const folder = await temporaryFolder();
  expect(await certificateFinding([], folder)).toMatchObject({
    level: 'warning',
    message: expect.stringContaining('the CA issues none while its DNS record is missing') as string,
  });
  expect(await certificateFinding(['192.0.2.1'], folder)).toMatchObject({
    level: 'ok',
    message: expect.stringContaining('the agent orders one on first use') as string,
  });
});

it('reports the last order that the CA rejected, and how to order again at once', async () => {
  const folder = await temporaryFolder();
  const store = new AcmeStore(folder, ACME.directory);
  const error = new PortalError('acme_rejected', 'no certificate', { hint: 'Create a record.' });
  const hostname = 'web.relay.example.com';
  await store.writeRejection(hostname, { error, count: 2, nextAt: Date.now() + 86_400_000 });
  expect(await certificateFinding(['192.0.2.1'], folder)).toMatchObject({
    level: 'problem',
    message: 'no certificate; next try in 24 h',
    hint: expect.stringMatching(
      /^Create a record\. To try at once after a fix, stop the agent, delete .*\.retry\.json/,
    ) as string,
  });
});

it('only warns about a rejected renewal while the current certificate is valid', async () => {
  const folder = await temporaryFolder();
  const store = new AcmeStore(folder, ACME.directory);
  const hostname = 'web.relay.test';
  const { cert, key } = await (await openLocalCa(await temporaryFolder())).issue([hostname]);
  await store.write(hostname, key, cert);
  const error = new PortalError('acme_rejected', 'no certificate');
  await store.writeRejection(hostname, { error, count: 1, nextAt: Date.now() + 60_000 });
  const findings = await findingsOf({
    addresses: ['192.0.2.1'],
    tls: ACME,
    acmeDir: folder,
    domain: 'relay.test',
  });
  const levels = findings.filter(({ check }) => check === 'service.certificate').map(({ level }) => level);
  expect(levels).toEqual(['warning', 'ok']);
});
