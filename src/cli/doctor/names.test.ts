import { expect, it } from 'vitest';
import { dnsServer } from '../../../test/support/dns-server.js';
import { Names } from './names.js';

it('finds the address of a name whose server fails for the other family', async () => {
  const dns = await dnsServer((name, type) =>
    type === 'A' ? [{ type: 'A', name, ttl: 1, data: '192.0.2.7' }] : 'SERVFAIL',
  );
  expect(await new Names([dns.address]).addresses('web.example.com')).toEqual(['192.0.2.7']);
});

it('reports a failure only if no family has an address', async () => {
  const dns = await dnsServer((_name, type) => (type === 'A' ? 'NXDOMAIN' : 'SERVFAIL'));
  await expect(new Names([dns.address]).addresses('web.example.com')).rejects.toMatchObject({
    code: 'ESERVFAIL',
  });
});
