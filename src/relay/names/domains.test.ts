import type { Answer } from 'dns-packet';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silent } from '../../lib/logger.js';
import { dnsServer, type Said } from '../../../test/support/dns-server.js';
import { LIMITS } from '../../protocol/limits.js';
import { DomainProofs } from './domains.js';

it('checks proven domains in their own queue, not delayed by names for which DNS does not answer', async () => {
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
  // Another identity requests the same name meanwhile, and waits in the queue of unproven domains.
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

describe('a DNS answer proves the domain:', () => {
  it.each<[string, Said]>([
    ['a text split into many strings', [txt('_portal.shop.test', ...PROOF.split(''))]],
    [
      'spaces around it, and the address in capitals',
      [txt('_portal.shop.test', ` ${PROOF.replace(ADDRESS, ` 0x${'A1'.repeat(20)}`)} `)],
    ],
    ['the record among records of others', [...noise(3), txt('_portal.shop.test', PROOF)]],
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

  it('retries over TCP if the answer is larger than a datagram, up to 60 kB and more', async () => {
    for (const count of [6, 25, 280]) {
      const { proofs, dns } = await proofsOf([...noise(count), txt('_portal.shop.test', PROOF)]);
      await proofs.prove('shop.test', ADDRESS);
      expect(dns.overTcp()).toBe(1);
    }
  });

  it('times out if the answer is larger than a datagram and TCP does not work', async () => {
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
    ['a failure', 'SERVFAIL', 'DNS does not answer'],
    ['only texts of others', noise(3), 'its TXT record is missing'],
    ['another identity', [txt('_portal.shop.test', 'portal-address=0xB')], 'names another identity'],
    [
      'an address that only starts like it',
      [txt('_portal.shop.test', `${PROOF}0`)],
      'names another identity',
    ],
    [
      'circular CNAMEs',
      [
        { type: 'CNAME', name: '_portal.shop.test', ttl: 1, data: 'one.test' },
        { type: 'CNAME', name: 'one.test', ttl: 1, data: '_portal.shop.test' },
      ],
      'its TXT record is missing',
    ],
    [
      'bytes that are not text',
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
