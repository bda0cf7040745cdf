import type { Answer } from 'dns-packet';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silent } from '../lib/logger.js';
import { dnsServer, type Said } from '../../test/support/dns-server.js';
import { LIMITS } from '../protocol/limits.js';
import { DomainProofs } from './domains.js';

it('what was proven is looked at in a line of its own: names that DNS is silent of do not hold it up', async () => {
  const dns = await dnsServer((name) =>
    name.endsWith('shop.test') ? [{ type: 'TXT', name, ttl: 1, data: 'portal-address=0xA' }] : 'silence',
  );
  const proofs = new DomainProofs({
    domain: 'relay.test',
    servers: [dns.address],
    log: silent,
    limits: {
      domainLookupMs: 60_000,
      maxDomainLookups: 1,
      domainRetryMs: 60_000,
      domainRecheckMs: 0,
      domainGraceMs: 60_000,
    },
  });
  await proofs.prove('shop.test', '0xA');
  let isStuck = true;
  const stuck = proofs
    .prove('silent.test', '0xB')
    .catch((error: unknown) => error)
    .finally(() => (isStuck = false));
  // Somebody else asks for the very name meanwhile: that one waits in the line of those not proven.
  const rival = proofs.prove('shop.test', '0xB').catch((error: unknown) => error);
  await proofs.prove('shop.test', '0xA');
  expect(await proofs.recheck('shop.test', '0xA')).toBeUndefined();
  expect(isStuck).toBe(true);
  proofs.close();
  expect(await stuck).toMatchObject({ code: 'domain_unproven' });
  expect(await rival).toMatchObject({ code: 'domain_unproven' });
});

const ADDRESS = `0x${'a1'.repeat(20)}`;
const txt = (name: string, ...data: string[]): Answer => ({ type: 'TXT', name, ttl: 1, data });
const PROOF = `portal-address=${ADDRESS}`;
const noise = (count: number) =>
  Array.from({ length: count }, (_, each) => txt('_portal.shop.test', `${each} ${'x'.repeat(200)}`));

async function proofsOf(said: Said, options: Parameters<typeof dnsServer>[1] = {}, domainLookupMs = 10_000) {
  const dns = await dnsServer((_name, type) => (type === 'TXT' ? said : []), options);
  const limits = { ...LIMITS, domainLookupMs };
  const proofs = new DomainProofs({ domain: 'relay.test', servers: [dns.address], log: silent, limits });
  onTestFinished(() => proofs.close());
  return { proofs, dns };
}

describe('what DNS may say of a domain:', () => {
  it.each<[string, Said]>([
    ['a text cut into many strings', [txt('_portal.shop.test', ...PROOF.split(''))]],
    [
      'spaces about it, and the letters of the address large',
      [txt('_portal.shop.test', ` ${PROOF.replace(ADDRESS, ` 0x${'A1'.repeat(20)}`)} `)],
    ],
    ['the record among others that are not meant for us', [...noise(3), txt('_portal.shop.test', PROOF)]],
    [
      'the record at the end of a chain of CNAMEs',
      [
        { type: 'CNAME', name: '_portal.shop.test', ttl: 1, data: 'one.test' },
        { type: 'CNAME', name: 'one.test', ttl: 1, data: 'two.test' },
        txt('two.test', PROOF),
      ],
    ],
  ])('%s', async (_what, said) => {
    const { proofs } = await proofsOf(said);
    await expect(proofs.prove('shop.test', ADDRESS)).resolves.toBeUndefined();
  });

  it('more than a datagram holds: it is asked again over TCP, to 60 kB and more', async () => {
    for (const count of [6, 25, 280]) {
      const { proofs, dns } = await proofsOf([...noise(count), txt('_portal.shop.test', PROOF)]);
      await proofs.prove('shop.test', ADDRESS);
      expect(dns.overTcp()).toBe(1);
    }
  });

  it('more than a datagram holds, and nothing over TCP: that is no answer, within the bound', async () => {
    const { proofs } = await proofsOf(noise(25), { tcp: 'silent' }, 300);
    const refused = proofs.prove('shop.test', ADDRESS);
    await expect(refused).rejects.toMatchObject({
      code: 'domain_unproven',
      message: expect.stringContaining('DNS does not answer') as string,
    });
  });

  it.each<[string, Said, string]>([
    ['no such name', 'NXDOMAIN', 'its TXT record is missing'],
    ['no such record', [], 'its TXT record is missing'],
    ['it failed', 'SERVFAIL', 'DNS does not answer'],
    ['texts of others alone', noise(3), 'its TXT record is missing'],
    ['another identity', [txt('_portal.shop.test', 'portal-address=0xB')], 'names another identity'],
    [
      'an address that only begins like it',
      [txt('_portal.shop.test', `${PROOF}0`)],
      'names another identity',
    ],
    [
      'CNAMEs in a circle',
      [
        { type: 'CNAME', name: '_portal.shop.test', ttl: 1, data: 'one.test' },
        { type: 'CNAME', name: 'one.test', ttl: 1, data: '_portal.shop.test' },
      ],
      'its TXT record is missing',
    ],
    [
      'bytes that are no text',
      [{ type: 'TXT', name: '_portal.shop.test', ttl: 1, data: [Buffer.alloc(255, 0xff)] }],
      'its TXT record is missing',
    ],
  ])('%s: unproven', async (_what, said, why) => {
    const { proofs } = await proofsOf(said);
    await expect(proofs.prove('shop.test', ADDRESS)).rejects.toMatchObject({
      code: 'domain_unproven',
      message: expect.stringContaining(why) as string,
    });
  });
});
