import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { openLocalCa, type LocalCa } from '../../src/certificates/local-ca.js';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, handedOver, relay, service, visit } from '../support/world.js';

interface OwnCertificate {
  readonly issuer: LocalCa;
  readonly tls: ServiceSpec['tls'];
  /** Installs a new certificate, as a renewal does. */
  renew(): Promise<void>;
}

async function ownCertificate(hostname: string): Promise<OwnCertificate> {
  const folder = await temporaryFolder();
  const issuer = await openLocalCa(join(folder, 'issuer'));
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const renew = async (): Promise<void> => {
    const { cert, key } = await issuer.issue([hostname]);
    await writeFile(`${certFile}.new`, cert);
    await writeFile(`${keyFile}.new`, key);
    await rename(`${keyFile}.new`, keyFile);
    await rename(`${certFile}.new`, certFile);
  };
  await renew();
  return { issuer, tls: { source: 'files', certFile, keyFile }, renew };
}

async function serial(at: { port: number }, issuer: LocalCa): Promise<string> {
  const visitor = await visit(at, 'web.localhost', issuer);
  const { serialNumber } = visitor.getPeerCertificate();
  visitor.destroy();
  return serialNumber;
}

it('serves the user’s own certificate, and the next one without disconnecting a visitor', async () => {
  const at = await relay();
  const own = await ownCertificate('web.localhost');
  const held = await handedOver();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', held.port, { tls: own.tls })));
  const visitor = await visit(at, 'web.localhost', own.issuer);
  const source = await held.next();
  const before = visitor.getPeerCertificate().serialNumber;

  await own.renew();
  // The agent checks the files every two seconds.
  await expect.poll(() => serial(at, own.issuer), { interval: 100 }).not.toBe(before);
  source.write('still the same session');
  expect(String((await once(visitor, 'data'))[0])).toBe('still the same session');
});

it('changes from the local CA to files in place, and keeps the old certificate if the files do not match', async () => {
  const at = await relay();
  const [own, wrong] = [await ownCertificate('web.localhost'), await ownCertificate('other.localhost')];
  const held = await handedOver();
  const one = await agent();
  const apply = (tls: ServiceSpec['tls']): Promise<void> =>
    one.runner.apply(desired([at.spec], service('web', held.port, { tls })));
  await apply({ source: 'local' });
  (await visit(at, 'web.localhost', one.ca)).destroy();

  await apply(own.tls);
  await expect.poll(() => serial(at, own.issuer).catch(() => 'not yet')).not.toBe('not yet');
  await apply(wrong.tls);
  expect(await serial(at, own.issuer)).toMatch(/^[0-9A-F]+$/);
  await expect
    .poll(() => one.events.find((event) => event.event === 'notice' && event.kind === 'certificate_failed'), {
      timeout: 20_000,
    })
    .toMatchObject({
      service: 'web',
      message: expect.stringMatching(
        /^web: the new certificate failed, so visitors get the current one, valid until 20\d\d-\d\d-\d\d \d\d:\d\d UTC: .*cert\.pem is for .*other\.localhost, not for web\.localhost\. Use a certificate for /,
      ) as string,
    });
  const { leases } = await one.runner.status();
  expect(leases[0]).toMatchObject({
    phase: 'ready',
    certificate: { error: { code: 'certificate_unavailable' } },
  });
  const applied = one.events.filter((event) => event.event === 'applied');
  expect(applied.map(({ updated, replaced }) => [updated, replaced])).toEqual([
    [[], []],
    [['web'], []],
    [['web'], []],
  ]);
});

it('a certificate for another name fails the lease, and the error shows its name', async () => {
  const at = await relay();
  const wrong = await ownCertificate('other.localhost');
  const held = await handedOver();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', held.port, { tls: wrong.tls })));
  const { leases } = await one.runner.status();
  expect(leases[0]).toMatchObject({ phase: 'failed', error: { code: 'certificate_unavailable' } });
  expect(leases[0]?.error?.message).toContain('not for web.localhost');
});
