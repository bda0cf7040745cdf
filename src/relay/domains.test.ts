import { expect, it } from 'vitest';
import { silent } from '../lib/logger.js';
import { dnsServer } from '../../test/support/dns-server.js';
import { DomainProofs } from './domains.js';

it('what was proven is looked at in a line of its own: names that DNS is silent of do not hold it up', async () => {
  const dns = await dnsServer((name) =>
    name.endsWith('shop.test') ? [{ type: 'TXT', name, ttl: 1, data: 'portal-address=0xA' }] : 'silence',
  );
  const proofs = new DomainProofs({
    domain: 'relay.test',
    servers: [dns.address],
    log: silent,
    bounds: {
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
