import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../lib/errors.js';
import type { Hold } from './acme/certificates.js';
import type { HoldListener } from './acme/held.js';
import { LiveCertificate, type CertificateSources } from './live.js';
import { openLocalCa, type LocalCa } from './local-ca.js';
import type { CertificateNews, ServingCertificate } from './source.js';

const DAY_MS = 24 * 3_600_000;

let folder: string;
let ca: LocalCa;
let told: CertificateNews[];
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
async function fromFiles() {
  const tls = {
    source: 'files',
    certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
  } as const;
  const write = async (cert: string, key: string): Promise<void> => {
    await Promise.all([writeFile(tls.certFile, cert), writeFile(tls.keyFile, key)]);
  };
  const pair = await ca.issue(['shop.test']);
  await write(pair.cert, pair.key);
  const live = new LiveCertificate({
    hostname: 'shop.test',
    tls,
    // Neither source is used for files.
    sources: {} as CertificateSources,
    onNew: (certificate) => served.push(certificate),
    onNews: (news) => told.push(news),
  });
  onTestFinished(() => live.close());
  await live.open(AbortSignal.timeout(5_000));
  return { live, tls, pair, write };
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
      onNews: (news) => told.push(news),
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
  it('that is invalid is reported, with how long the old one is valid, and again when it is repaired', async () => {
    const { live, write, pair } = await fromFiles();
    const notAfter = new Date(live.renewal()!.notAfter!);
    await write('nonsense', 'nonsense');
    expect(await live.reread()).toBe(false);
    expect(live.renewal()).toMatchObject({ error: { code: 'certificate_unavailable' } });
    expect(told).toMatchObject([{ kind: 'failed', notAfter }]);
    expect((told[0] as { error: Error }).error.message).toContain('cert.pem contains no PEM certificate');
    expect(served).toEqual([]);

    await write(pair.cert, pair.key);
    expect(await live.reread()).toBe(true);
    expect(live.renewal()?.error).toBeUndefined();
    expect(told.slice(1)).toEqual([{ kind: 'restored', notAfter }]);
  });

  it('is not reported as invalid while a program still writes the files', async () => {
    const { live, tls, write } = await fromFiles();
    const [next, other] = [await ca.issue(['shop.test']), await ca.issue(['shop.test'])];
    await write(next.cert, other.key);
    // Reads the files, as after a change of them.
    live.update({ ...tls, certFile: join(folder, '.', 'cert.pem') });
    live.update({ ...tls, keyFile: `${folder}//key.pem` });
    await vi.waitFor(() => expect(live.renewal()?.error?.message).toContain('is not the key of'));
    await write(next.cert, next.key);
    vi.advanceTimersByTime(5_000);
    await vi.waitFor(() => expect(served).toHaveLength(1));
    expect(live.renewal()?.error).toBeUndefined();
    expect(told).toMatchObject([{ kind: 'renewed' }]);
  });

  it('that stays invalid is reported after a moment', async () => {
    const { live, tls, write } = await fromFiles();
    await write('nonsense', 'nonsense');
    live.update({ ...tls, keyFile: `${folder}//key.pem` });
    await vi.waitFor(() => expect(live.renewal()?.error).toBeDefined());
    expect(told).toEqual([]);
    vi.advanceTimersByTime(5_000);
    await vi.waitFor(() => expect(told).toMatchObject([{ kind: 'failed' }]));
  });

  it('that nobody renews is reported two weeks before it expires, and when it does', async () => {
    const { live, tls } = await fromFiles();
    const end = Date.parse(live.renewal()!.notAfter!);
    vi.setSystemTime(end - 15 * DAY_MS);
    vi.advanceTimersByTime(3_600_000);
    expect(told).toEqual([]);
    expect(live.renewal()?.expiresSoon).toBe(false);
    vi.setSystemTime(end - 13 * DAY_MS);
    vi.advanceTimersByTime(3_600_000);
    const expires = { kind: 'expires', file: tls.certFile, notAfter: new Date(end) };
    expect(told).toEqual([expires]);
    expect(live.renewal()?.expiresSoon).toBe(true);
    vi.setSystemTime(end - 1_000);
    vi.advanceTimersByTime(61_000);
    expect(told).toEqual([expires, expires]);
  });
});
