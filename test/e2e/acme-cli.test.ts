import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordType } from 'dns-packet';
import { expect, it } from 'vitest';
import { freePorts } from '../support/ports.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { loadIdentity } from '../../src/identity/file.js';
import { dnsServer, everythingHere, type Said } from '../support/dns-server.js';
import { pebble } from '../support/pebble.js';
import { get, httpService } from '../support/world.js';
import { Person } from './cli-support.js';

it('publishes a custom domain with a public certificate, without `tls`, as a person sets it up', async (ctx) => {
  const person = await Person.create();
  const { address } = await loadIdentity(join(person.home, 'identity.json'), { create: true });
  const dns = await dnsServer((name: string, type: RecordType): Said =>
    type === 'TXT'
      ? [{ type: 'TXT', name, ttl: 1, data: `portal-address=${address}` }]
      : everythingHere(name, type),
  );
  const [port = 0] = await freePorts(1);
  const ca = await pebble(ctx, { tlsPort: port, dns: dns.address });
  const relay = person.start(['relay', '--listen', `127.0.0.1:${port}`, '--dns', dns.address, '--json']);
  const listening = await relay.event('listening');
  const target = await httpService((_request, response) => response.end('the shop'));
  await writeFile(
    join(person.folder, 'portal.yaml'),
    [
      'version: 1',
      `acme: { directory: '${ca.spec.directory}', email: shop@example.com, ca: '${ca.spec.caFile}' }`,
      `relays: { urls: [{ url: '${String(listening['url'])}', ca: '${String(listening['ca'])}' }] }`,
      'services:',
      `  shop: { target: ${target.port}, hostname: Shop.Acme.Example }`,
    ].join('\n'),
  );
  person.downAfterTest();
  const up = await person.run(['up', '--wait', '--yes']);
  expect(up.code).toBe(0);
  expect(up.stderr + up.stdout).toMatch(
    /gets certificates from localhost:\d+, agreeing to this CA's terms of service/,
  );
  const local = await openLocalCa(join(person.home, 'ca'));
  const trust = { ...local, certificatePem: await ca.root() };
  expect((await get({ port }, 'shop.acme.example', trust)).text).toContain('the shop');

  const status = JSON.parse((await person.run(['status', '--json'])).stdout) as {
    leases: { url: string; certificate: object }[];
  };
  expect(status.leases[0]).toMatchObject({
    url: `https://shop.acme.example:${port}`,
    certificate: { notAfter: expect.any(String) as string, nextAt: expect.any(String) as string },
  });
  const doctor = await person.run(['doctor', '--dns', dns.address]);
  expect(doctor.stdout).toMatch(/✓ the stored certificate for shop\.acme\.example is valid until/);
  expect(doctor.stdout).toMatch(/✓ _portal\.shop\.acme\.example names your identity/);
  expect(doctor.code).toBe(0);
});
