import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../lib/errors.js';
import { silent } from '../lib/logger.js';
import type { Hold } from './acme/certificates.js';
import type { HoldListener } from './acme/held.js';
import { LiveCertificate, type CertificateSources } from './live.js';
import { openLocalCa, type LocalCa } from './local-ca.js';
import type { CertificateTrouble, ServingCertificate } from './source.js';

const DAY_MS = 24 * 3_600_000;

let folder: string;
let ca: LocalCa;
let told: CertificateTrouble[];
let served: ServingCertificate[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portal-live-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  ca = await openLocalCa(join(folder, 'ca'));
  [told, served] = [[], []];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
});

/** A certificate for shop.test in files, with what it replaces them. */
async function fromFiles(): Promise<{
  live: LiveCertificate;
  write: (cert: string, key: string) => Promise<void>;
}> {
  const tls = {
    source: 'files',
    certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
  } as const;
  const write = async (cert: string, key: string): Promise<void> => {
    await Promise.all([writeFile(tls.certFile, cert), writeFile(tls.keyFile, key)]);
  };
  const { cert, key } = await ca.issue(['shop.test']);
  await write(cert, key);
  const live = new LiveCertificate({
    hostname: 'shop.test',
    tls,
    // Neither source is used for files.
    sources: {} as CertificateSources,
    onNew: (certificate) => served.push(certificate),
    onTrouble: (trouble) => told.push(trouble),
    log: silent,
  });
  onTestFinished(() => live.close());
  await live.open(AbortSignal.timeout(5_000));
  return { live, write };
}

describe('the certificate of a CA', () => {
  it('whose renewal the CA rejected is reported, and an unreachable CA only near the end', async () => {
    const current = await ca.issue(['shop.test']);
    const serving = { ...current, fingerprint: '' };
    let listener: HoldListener | undefined;
    const hold = (_hostname: string, _spec: unknown, added: HoldListener): Hold => {
      listener = added;
      return { release: () => undefined } as Hold;
    };
    const live = new LiveCertificate({
      hostname: 'shop.test',
      tls: { source: 'acme', directory: 'https://ca.test/directory' },
      sources: { acme: { hold } } as unknown as CertificateSources,
      onNew: () => undefined,
      onTrouble: (trouble) => told.push(trouble),
      log: silent,
    });
    onTestFinished(() => live.close());
    const unreachable = new PortalError('acme_unreachable', 'the CA does not respond');
    listener!.onFailed(unreachable, serving);
    expect(told).toEqual([]);
    const rejected = new PortalError('acme_rejected', 'the CA rejected the order');
    listener!.onFailed(rejected, serving);
    vi.setSystemTime(current.notAfter.getTime() - DAY_MS);
    listener!.onFailed(unreachable, serving);
    const { notAfter } = current;
    expect(told).toEqual([
      { kind: 'failed', error: rejected, notAfter },
      { kind: 'failed', error: unreachable, notAfter },
    ]);
  });
});

describe('the certificate of files', () => {
  it('that is invalid is reported, with how long the old one is valid', async () => {
    const { live, write } = await fromFiles();
    const { notAfter } = live.renewal()!;
    await write('nonsense', 'nonsense');
    await live.reread();
    expect(live.renewal()).toMatchObject({ notAfter, error: { code: 'certificate_unavailable' } });
    vi.advanceTimersByTime(5_000);
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told[0]).toMatchObject({ kind: 'failed', notAfter: new Date(notAfter!) });
    expect((told[0] as { error: Error }).error.message).toContain('cert.pem contains no PEM certificate');
    expect(served).toEqual([]);
  });

  it('is not reported while a program still writes the files', async () => {
    const { live, write } = await fromFiles();
    const before = vi.getTimerCount();
    const [next, other] = [await ca.issue(['shop.test']), await ca.issue(['shop.test'])];
    await write(next.cert, other.key);
    await live.reread();
    expect(live.renewal()?.error?.message).toContain('is not the key of');
    await write(next.cert, next.key);
    await live.reread();
    expect(live.renewal()?.error).toBeUndefined();
    expect(served).toHaveLength(1);
    vi.advanceTimersByTime(5_000);
    expect(vi.getTimerCount()).toBe(before);
    expect(told).toEqual([]);
  });

  it('that nobody renews is reported two weeks before it expires', async () => {
    const { live } = await fromFiles();
    const end = Date.parse(live.renewal()!.notAfter!);
    vi.setSystemTime(end - 15 * DAY_MS);
    vi.advanceTimersByTime(3_600_000);
    expect(told).toEqual([]);
    vi.setSystemTime(end - 13 * DAY_MS);
    vi.advanceTimersByTime(3_600_000);
    expect(told).toEqual([{ kind: 'expires', file: join(folder, 'cert.pem'), notAfter: new Date(end) }]);
  });
});
