import { X509Certificate } from 'node:crypto';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { createServer as createTls, connect } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { ACME_ALPN } from '../../src/certificates/acme/challenges.js';
import { AcmeCertificates, type AcmeOptions, type Hold } from '../../src/certificates/acme/certificates.js';
import { AcmeStore } from '../../src/certificates/acme/store.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import type { ServingCertificate } from '../../src/certificates/source.js';
import type { AcmeSpec } from '../../src/certificates/spec.js';
import type { PortalError } from '../../src/lib/errors.js';
import { dnsServer, everythingHere } from '../support/dns-server.js';
import { log } from '../support/log.js';
import { rejectingCa } from '../support/fake-ca.js';
import { pebble } from '../support/pebble.js';
import { temporaryFolder } from '../support/folder.js';

const neverAborted = new AbortController().signal;

/** A port that responds to `challenges`, and otherwise shows its own certificate. */
async function port(): Promise<{ port: number; serve(acme: AcmeCertificates): void }> {
  const ca = await openLocalCa(await temporaryFolder());
  const ordinary = createTls({ ...(await ca.issue(['shop.test'])), ALPNProtocols: ['http/1.1'] });
  ordinary.on('tlsClientError', (_error, socket) => socket.destroy());
  let current: AcmeCertificates | undefined;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    const others = (): void => void ordinary.emit('connection', socket);
    if (current) current.challenges.offer('shop.test', socket, others);
    else others();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, serve: (acme) => (current = acme) };
}

function certificates(folder: string, options: Partial<AcmeOptions> = {}): AcmeCertificates {
  const acme = new AcmeCertificates({ folder, log, ...options });
  onTestFinished(() => acme.close());
  return acme;
}

interface Holding extends Hold {
  readonly renewed: ServingCertificate[];
}

function hold(acme: AcmeCertificates, hostname: string, spec: AcmeSpec): Holding {
  const renewed: ServingCertificate[] = [];
  return Object.assign(
    acme.hold(hostname, spec, {
      onNew: (certificate) => void renewed.push(certificate),
      onFailed: () => undefined,
    }),
    { renewed },
  );
}

it('orders, stores for its owner only, and uses the stored certificate after a restart', async (ctx) => {
  const at = await port();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address });
  const folder = await temporaryFolder();
  const first = certificates(folder);
  at.serve(first);
  const ordered = await hold(first, 'shop.test', ca.spec).certificate.first(neverAborted);
  expect(first.challenges.isPending('shop.test')).toBe(false);
  first.close();

  const [account] = await readdir(folder);
  const files = await readdir(join(folder, account!));
  expect(files.toSorted()).toEqual(['account.key.pem', 'shop.test.pem']);
  for (const file of files) expect((await stat(join(folder, account!, file))).mode & 0o777).toBe(0o600);

  expect(ca.issued).toBe(1);
  await ca.stop();
  const second = certificates(folder);
  const stored = await hold(second, 'shop.test', ca.spec).certificate.first(neverAborted);
  expect(stored).toMatchObject({ fingerprint: ordered.fingerprint, cert: ordered.cert, key: ordered.key });
});

it('says once per CA that its terms of service are agreed to, before it creates the account', async () => {
  const ca = await rejectingCa(() => ({ status: 403, type: 'caa', detail: 'CAA prevents issuance' }));
  const folder = await temporaryFolder();
  const agreed: string[] = [];
  const onTermsAgreed = (directory: string): void =>
    void agreed.push(ca.requested.includes('/account') ? 'too late' : directory);
  const order = (acme: AcmeCertificates, name: string): Promise<void> =>
    expect(hold(acme, name, ca.spec).certificate.first(neverAborted)).rejects.toMatchObject({
      code: 'acme_rejected',
    });
  const first = certificates(folder, { onTermsAgreed });
  await Promise.all(['one.test', 'two.test', 'three.test'].map((name) => order(first, name)));
  expect(agreed).toEqual([ca.spec.directory]);

  await order(certificates(folder, { onTermsAgreed }), 'four.test');
  expect(agreed).toHaveLength(1);
});

it('one order serves all services with the same hostname', async (ctx) => {
  const at = await port();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address });
  const acme = certificates(await temporaryFolder());
  at.serve(acme);
  const holds = Array.from({ length: 5 }, () => hold(acme, 'shop.test', ca.spec));
  const got = await Promise.all(holds.map(({ certificate }) => certificate.first(neverAborted)));
  expect(new Set(got.map(({ fingerprint }) => fingerprint)).size).toBe(1);
  expect(ca.issued).toBe(1);
});

it('shows the challenge only to a CA', async () => {
  const at = await port();
  const acme = certificates(await temporaryFolder());
  at.serve(acme);
  const challenge = await (await openLocalCa(await temporaryFolder())).issue(['shop.test']);
  const visitor = (alpn: string): Promise<string | undefined> =>
    new Promise((resolve) => {
      const socket = connect(
        {
          host: '127.0.0.1',
          port: at.port,
          servername: 'shop.test',
          ALPNProtocols: [alpn],
          rejectUnauthorized: false,
        },
        () => {
          resolve(socket.getPeerX509Certificate()?.toString());
          socket.destroy();
        },
      );
      socket.once('error', () => resolve(undefined));
    });
  expect(await visitor(ACME_ALPN)).toBeUndefined();
  const withdraw = await acme.challenges.add('shop.test', challenge);
  expect(await visitor(ACME_ALPN)).toBe(challenge.cert);
  const ordinary = await visitor('http/1.1');
  expect(ordinary).toMatch(/BEGIN CERTIFICATE/);
  expect(ordinary).not.toBe(challenge.cert);
  withdraw();
  expect(await visitor(ACME_ALPN)).toBeUndefined();
});

const REJECTION = {
  code: 'acme_rejected',
  message: 'no',
  count: 1,
  nextAt: new Date(Date.now() + 600_000).toISOString(),
};

const soon = { first: 200, factor: 1, max: 200 };

it('renews early, and keeps the old certificate while the CA is down', async (ctx) => {
  const at = await port();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address, validityS: 6 });
  const acme = certificates(await temporaryFolder(), { schedule: { unreachableMs: soon } });
  at.serve(acme);
  const held = hold(acme, 'shop.test', ca.spec);
  const first = await held.certificate.first(neverAborted);
  await ca.stop();
  await expect.poll(() => held.certificate.status().error?.code).toBe('acme_unreachable');
  expect(Date.now()).toBeLessThan(first.notAfter.getTime());
  expect(await held.certificate.first(neverAborted)).toMatchObject({ fingerprint: first.fingerprint });
  expect(held.certificate.status()).toMatchObject({
    notAfter: first.notAfter.toISOString(),
    nextAt: expect.any(String) as string,
  });

  await ca.start();
  await expect.poll(() => held.renewed.length).toBeGreaterThan(1);
  expect(held.certificate.status().error).toBeUndefined();
});

it('does not serve a stored certificate that has expired', async (ctx) => {
  const at = await port();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address, validityS: 6 });
  const folder = await temporaryFolder();
  const first = certificates(folder);
  at.serve(first);
  const old = await hold(first, 'shop.test', ca.spec).certificate.first(neverAborted);
  first.close();
  await expect.poll(() => Date.now() > old.notAfter.getTime()).toBe(true);

  const second = certificates(folder);
  at.serve(second);
  const fresh = await hold(second, 'shop.test', ca.spec).certificate.first(neverAborted);
  expect(fresh.fingerprint).not.toBe(old.fingerprint);
  second.close();

  await ca.stop();
  await expect.poll(() => Date.now() > fresh.notAfter.getTime()).toBe(true);
  const third = hold(certificates(folder), 'shop.test', ca.spec);
  await expect(third.certificate.first(neverAborted)).rejects.toMatchObject({
    code: 'acme_unreachable',
    retryAfterMs: expect.any(Number) as number,
  });
});

it('reports a rate limit, and waits for it', async () => {
  const ca = await rejectingCa(() => ({
    status: 429,
    type: 'rateLimited',
    detail: 'too many certificates already issued for "shop.test"',
    headers: { 'retry-after': '7200' },
  }));
  const held = hold(certificates(await temporaryFolder()), 'shop.test', ca.spec);
  const refused = await held.certificate.first(neverAborted).catch((error: unknown) => error);
  expect(refused).toMatchObject({
    code: 'acme_rate_limited',
    hint: expect.stringContaining('each new order counts') as string,
  });
  expect((refused as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(7_199_000);
  // Sends no request to the CA before that, however often the certificate is needed.
  const requested = ca.requested.length;
  await expect(held.certificate.first(neverAborted)).rejects.toMatchObject({ code: 'acme_rate_limited' });
  expect(ca.requested).toHaveLength(requested);
});

it('keeps the wait after a rejection across a restart', async () => {
  const ca = await rejectingCa(() => ({ status: 403, type: 'caa', detail: 'CAA prevents issuance' }));
  const folder = await temporaryFolder();
  const first = certificates(folder);
  const before = hold(first, 'shop.test', ca.spec).certificate;
  const { code, message, hint } = (await before
    .first(neverAborted)
    .catch((error: unknown) => error)) as PortalError;
  expect(code).toBe('acme_rejected');
  const { nextAt } = before.status();
  first.close();
  const requested = ca.requested.length;

  const second = hold(certificates(folder), 'shop.test', ca.spec).certificate;
  await expect(second.first(neverAborted)).rejects.toMatchObject({ code, message, hint });
  expect(second.status().nextAt).toBe(nextAt);
  expect(ca.requested).toHaveLength(requested);
});

it.each([
  ['is damaged', '{"code":"acme_rejected"'],
  ['is from a wrong clock', JSON.stringify({ ...REJECTION, nextAt: '2999-01-01T00:00:00.000Z' })],
  ['has another code', JSON.stringify({ ...REJECTION, code: 'acme_unreachable' })],
  ['has no time', JSON.stringify({ ...REJECTION, nextAt: undefined })],
])('orders immediately if the file with the time of the next order %s', async (_case, text) => {
  const ca = await rejectingCa(() => ({ status: 403, type: 'caa', detail: 'CAA prevents issuance' }));
  const folder = await temporaryFolder();
  const store = new AcmeStore(folder, ca.spec.directory);
  const file = store.rejectionFileOf('shop.test');
  await mkdir(dirname(file));
  await writeFile(file, text);
  await hold(certificates(folder), 'shop.test', ca.spec)
    .certificate.first(neverAborted)
    .catch(() => undefined);
  expect(ca.requested).toContain('/order');
});

it('explains a rejection, and backs off between attempts', async () => {
  const ca = await rejectingCa(() => ({
    status: 403,
    type: 'caa',
    detail: 'CAA record for shop.test prevents issuance',
  }));
  const acme = certificates(await temporaryFolder(), {
    schedule: { rejectedMs: { first: 50, factor: 3, max: 10_000 } },
  });
  const held = hold(acme, 'shop.test', ca.spec);
  const pauses: number[] = [];
  while (pauses.length < 3) {
    const refused = await held.certificate.first(neverAborted).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'acme_rejected',
      hint: expect.stringContaining('CAA record') as string,
    });
    const orders = ca.requested.filter((path) => path === '/order').length;
    if (orders > pauses.length) pauses.push((refused as { retryAfterMs: number }).retryAfterMs);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(pauses[2]! / pauses[0]!).toBeGreaterThan(5);
});

it('a CA that cannot reach the port gets a clear error', async (ctx) => {
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: 9, dns: dns.address });
  const held = hold(certificates(await temporaryFolder()), 'shop.test', ca.spec);
  await expect(held.certificate.first(neverAborted)).rejects.toMatchObject({
    code: 'acme_rejected',
    message: expect.stringContaining('received a wrong response during validation') as string,
    hint: expect.stringContaining('open 443/tcp in its firewall') as string,
  });
});

it('an order ends when the last service no longer needs it', async () => {
  const ca = await rejectingCa(() => ({ status: 500, type: 'serverInternal', detail: 'never mind' }));
  const acme = certificates(await temporaryFolder());
  const held = hold(acme, 'shop.test', ca.spec);
  const waiting = held.certificate.first(neverAborted);
  held.release();
  await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
});

it('renews when the CA suggests it, long before the usual time', async () => {
  const window = [new Date(Date.now() - 7_200_000), new Date(Date.now() - 3_600_000)] as const;
  const ca = await rejectingCa(
    () => ({ status: 403, type: 'unauthorized', detail: 'not today' }),
    [window[0].toISOString(), window[1].toISOString()],
  );
  const folder = await temporaryFolder();
  const { cert, key } = await (await openLocalCa(await temporaryFolder())).issue(['shop.test']);
  await new AcmeStore(folder, ca.spec.directory).write('shop.test', key, cert);
  const held = hold(certificates(folder, { schedule: { firstQueryWithinMs: 0 } }), 'shop.test', ca.spec);
  const { notAfter } = await held.certificate.first(neverAborted);
  await expect.poll(() => ca.requested.includes('/order')).toBe(true);
  const requested = ca.requested.find((path) => path.startsWith('/renewal/'))!;
  const { serialNumber } = new X509Certificate(cert);
  expect(Buffer.from(requested.split('.')[1]!, 'base64url').toString('hex').toUpperCase()).toBe(serialNumber);
  await expect.poll(() => held.certificate.status().error?.code).toBe('acme_rejected');
  expect(held.certificate.status().notAfter).toBe(notAfter.toISOString());
});
