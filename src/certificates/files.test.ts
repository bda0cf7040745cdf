import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { readCertificateFiles, type CertificateFiles } from './files.js';
import { openLocalCa, type LocalCa } from './local-ca.js';

let folder: string;
let ca: LocalCa;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portal-files-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  ca = await openLocalCa(join(folder, 'ca'));
});

async function written(cert: string, key: string): Promise<CertificateFiles> {
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  await Promise.all([writeFile(files.certFile, cert), writeFile(files.keyFile, key)]);
  return files;
}

async function refused(cert: string, key: string, reason: RegExp): Promise<void> {
  const reading = readCertificateFiles(await written(cert, key), 'shop.test');
  await expect(reading).rejects.toMatchObject({ code: 'certificate_unavailable' });
  await expect(reading).rejects.toThrow(reason);
}

describe('certificate files', () => {
  it('are accepted when the key and the name match', async () => {
    const { cert, key, notAfter } = await ca.issue(['shop.test']);
    const read = await readCertificateFiles(await written(cert, key), 'shop.test');
    expect(read).toMatchObject({ cert, key });
    expect(read.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    // X.509 times have whole seconds.
    expect(Math.abs(read.notAfter.getTime() - notAfter.getTime())).toBeLessThan(1_000);
  });

  it('match every name below a wildcard', async () => {
    const { cert, key } = await ca.issue(['*.relay.test']);
    const files = await written(cert, key);
    await expect(readCertificateFiles(files, 'web.relay.test')).resolves.toBeDefined();
    await expect(readCertificateFiles(files, 'a.web.relay.test')).rejects.toThrow('not for a.web.relay.test');
  });

  it('are rejected with the reason', async () => {
    const [mine, other] = [await ca.issue(['shop.test']), await ca.issue(['shop.test'])];
    await refused(mine.cert, other.key, /key\.pem is not the key of .*cert\.pem/);
    await refused('nonsense', mine.key, /cert\.pem contains no PEM certificate/);
    // A writer that does not rename leaves an empty file for a moment.
    await refused('', mine.key, /cert\.pem contains no PEM certificate/);
    await refused(mine.cert, '', /key\.pem contains no complete private key/);
    await refused(
      mine.cert,
      mine.key.slice(0, mine.key.length / 2),
      /key\.pem contains no complete private key/,
    );
    await refused(`${mine.cert}${mine.cert.slice(0, 300)}`, mine.key, /cert\.pem/);
    const past = await openLocalCa(join(folder, 'past'), { now: () => new Date('2020-01-01') });
    const expired = await past.issue(['shop.test']);
    await refused(expired.cert, expired.key, /expired on 20/);
  });

  it('that are missing are named in the error', async () => {
    const files = { certFile: join(folder, 'none.pem'), keyFile: join(folder, 'none.key') };
    await expect(readCertificateFiles(files, 'shop.test')).rejects.toMatchObject({
      message: expect.stringMatching(/none\.pem does not exist/) as string,
      hint: 'Check the path.',
    });
  });
});
