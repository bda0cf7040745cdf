import { spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type ConnectionOptions } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { programFor } from '../../test/support/debian.js';
import { needsModes } from '../../test/support/platform.js';
import { systemCode } from '../lib/errors.js';
import { silent, type Logger } from '../lib/logger.js';
import { shellQuote } from '../lib/shell-quote.js';
import { valuesIn } from './der.js';
import { openLocalCa, type LocalLeaf } from './local-ca.js';
import { nameConstraints } from './local-names.js';

const DAY_MS = 24 * 3_600_000;

let home: string;
let caDir: string;
let keyFile: string;
let certificateFile: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'portal-ca-'));
  caDir = join(home, 'data', 'ca');
  keyFile = join(caDir, 'ca.key.pem');
  certificateFile = join(caDir, 'ca.pem');
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** A TLS client that trusts `ca` visits a server with this leaf: 'trusted', or the error. */
async function visit(leaf: Pick<LocalLeaf, 'cert' | 'key'>, options: ConnectionOptions): Promise<string> {
  const server = createServer({ cert: leaf.cert, key: leaf.key }, (socket) => socket.end());
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const client = connect({ host: '127.0.0.1', port, ...options });
    try {
      await once(client, 'secureConnect');
      return 'trusted';
    } catch (error) {
      // Node has no error code for violated constraints. Only OpenSSL's text names them.
      const code = systemCode(error);
      return code === undefined || code === 'UNSPECIFIED' ? String(error) : code;
    } finally {
      client.destroy();
    }
  } finally {
    server.close();
  }
}

/** Log lines as [fields, message], of warnings only. */
function recorder(): { log: Logger; warnings: [object, string][] } {
  const warnings: [object, string][] = [];
  return { log: { ...silent, warn: (fields, message) => warnings.push([fields, message]) }, warnings };
}

const failure = () =>
  openLocalCa(caDir).then(
    () => 'no failure',
    (error: unknown) => error,
  );

describe('leaves', () => {
  it('are trusted by clients that trust the CA, for their own names only', async () => {
    const ca = await openLocalCa(caDir);
    const leaf = await ca.issue(['web.localhost', 'api.test']);
    const trust = { ca: ca.certificatePem };
    expect(await visit(leaf, { ...trust, servername: 'web.localhost' })).toBe('trusted');
    expect(await visit(leaf, { ...trust, servername: 'api.test' })).toBe('trusted');
    expect(await visit(leaf, { ...trust, servername: 'other.localhost' })).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
    expect(await visit(leaf, { servername: 'web.localhost' })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  it.each(['localhost', 'a.b.internal', 'printer.local', 'nas.home.arpa', '127.0.0.1', '127.8.9.10', '::1'])(
    'are issued for %s, within the constraints',
    async (hostname) => {
      const ca = await openLocalCa(caDir);
      const leaf = await ca.issue([hostname]);
      const options = { ca: ca.certificatePem, checkServerIdentity: () => undefined };
      expect(await visit(leaf, options)).toBe('trusted');
      expect(ca.covers(hostname)).toBe(true);
      const certificate = new X509Certificate(leaf.cert);
      expect(certificate.checkHost(hostname) ?? certificate.checkIP(hostname)).toBe(hostname);
    },
  );

  it('meet the rules of browsers: 397 days, an hour of backdating, server use, a unique key and serial', async () => {
    const now = new Date('2026-03-01T12:00:00.500Z');
    const ca = await openLocalCa(caDir, { now: () => now });
    const leaves = await Promise.all(['a.localhost', 'b.localhost'].map((name) => ca.issue([name])));
    const certificates = leaves.map(({ cert }) => new X509Certificate(cert));
    for (const [i, certificate] of certificates.entries()) {
      expect(certificate.ca).toBe(false);
      expect(certificate.keyUsage).toStrictEqual(['1.3.6.1.5.5.7.3.1']);
      expect(new Date(certificate.validFrom)).toStrictEqual(new Date('2026-03-01T11:00:00.000Z'));
      expect(Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)).toBe(397 * DAY_MS);
      expect(leaves[i]!.notAfter).toStrictEqual(new Date(certificate.validTo));
      expect(certificate.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
      expect(certificate.checkPrivateKey(createPrivateKey(leaves[i]!.key))).toBe(true);
      expect(certificate.checkIssued(new X509Certificate(ca.certificatePem))).toBe(true);
    }
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(2);
    expect(leaves[0]!.key).not.toBe(leaves[1]!.key);
  });

  it('never expire after the CA', async () => {
    const ca = await openLocalCa(caDir);
    const end = new Date(new X509Certificate(ca.certificatePem).validTo);
    const late = await openLocalCa(caDir, { now: () => new Date(end.getTime() - 100 * DAY_MS) });
    expect(late.fingerprint).toBe(ca.fingerprint);
    expect((await late.issue(['a.localhost'])).notAfter).toStrictEqual(end);
  });

  it.each([
    'example.com',
    'localhost.example.com',
    'notlocalhost',
    '10.0.0.1',
    '128.0.0.1',
    '::2',
    'arpa',
    '',
  ])('are not issued for %j', async (hostname) => {
    const ca = await openLocalCa(caDir);
    expect(ca.covers(hostname)).toBe(false);
    await expect(ca.issue(['a.localhost', hostname])).rejects.toMatchObject({
      code: 'certificate_unavailable',
    });
  });

  it('equal the certificates of a library byte for byte', async () => {
    const now = new Date('2026-03-01T12:00:00.000Z');
    const ca = await openLocalCa(caDir, { now: () => now });
    for (const hostnames of [
      ['web.localhost'],
      ['localhost', '127.0.0.1', '::1'],
      [`${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.Test`, '127.8.9.10'],
    ]) {
      const written = new x509.X509Certificate((await ca.issue(hostnames)).cert);
      const made = await libraryLeaf(new x509.X509Certificate(ca.certificatePem), written, hostnames);
      expect(signedPart(written)).toBe(signedPart(made));
      expect(
        await written.verify({ publicKey: new x509.X509Certificate(ca.certificatePem) }, webcrypto),
      ).toBe(true);
    }
  });

  it('are not issued without a name', async () => {
    const ca = await openLocalCa(caDir);
    await expect(ca.issue([])).rejects.toMatchObject({ code: 'certificate_unavailable' });
  });
});

/** The library's leaf for the same issuer, serial number, key and times. */
async function libraryLeaf(
  ca: x509.X509Certificate,
  like: x509.X509Certificate,
  hostnames: readonly string[],
): Promise<x509.X509Certificate> {
  const names = hostnames.map((value) =>
    isIP(value) ? { type: 'ip' as const, value } : { type: 'dns' as const, value: value.toLowerCase() },
  );
  return x509.X509CertificateGenerator.create(
    {
      serialNumber: like.serialNumber,
      subject: new x509.Name([{ O: ['Portal local certificate'] }]),
      issuer: ca.subjectName,
      notBefore: like.notBefore,
      notAfter: like.notAfter,
      publicKey: like.publicKey,
      signingKey: await signingKey(),
      signingAlgorithm: ECDSA,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1']),
        await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey, false, webcrypto),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.SubjectKeyIdentifierExtension.create(like.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
}

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** The key of the CA, for the library. */
async function signingKey(): Promise<webcrypto.CryptoKey> {
  const key = createPrivateKey(await readFile(keyFile, 'utf8')).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', key, ECDSA, false, ['sign']);
}

/** The library's certificate for the CA with this key, serial number and times. */
async function libraryCa(like: x509.X509Certificate): Promise<x509.X509Certificate> {
  const id = await x509.SubjectKeyIdentifierExtension.create(like.publicKey, false, webcrypto);
  const name = new x509.Name([{ O: ['Portal'] }, { CN: [`Portal local CA ${id.keyId.slice(0, 8)}`] }]);
  return x509.X509CertificateGenerator.create(
    {
      serialNumber: like.serialNumber,
      subject: name,
      issuer: name,
      notBefore: like.notBefore,
      notAfter: like.notAfter,
      publicKey: like.publicKey,
      signingKey: await signingKey(),
      signingAlgorithm: ECDSA,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1']),
        new x509.Extension('2.5.29.30', true, nameConstraints()),
        id,
      ],
    },
    webcrypto,
  );
}

/** Hex of the signed part: all but the signature, which is random. */
const signedPart = (certificate: x509.X509Certificate): string =>
  valuesIn(Buffer.from(certificate.rawData))[0]!.toString('hex');

/** A leaf signed with the CA's key without the check of `covers`. */
async function forge(name: { type: 'dns' | 'ip'; value: string }): Promise<{ cert: string; key: string }> {
  const ca = new x509.X509Certificate(await readFile(certificateFile, 'utf8'));
  const leaf = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: `CN=${name.value}`,
      issuer: ca.subjectName,
      publicKey: leaf.publicKey,
      signingKey: await signingKey(),
      signingAlgorithm: ECDSA,
      extensions: [new x509.SubjectAlternativeNameExtension([name])],
    },
    webcrypto,
  );
  return { cert: certificate.toString('pem'), key: leaf.privateKey };
}

describe('the certificate of a CA', () => {
  it("equals a library's byte for byte", async () => {
    const now = new Date('2026-03-01T12:00:00.500Z');
    const ca = new x509.X509Certificate((await openLocalCa(caDir, { now: () => now })).certificatePem);
    expect(signedPart(ca)).toBe(signedPart(await libraryCa(ca)));
    expect(await ca.verify({}, webcrypto)).toBe(true);
    expect(ca.notBefore).toStrictEqual(new Date('2026-03-01T11:00:00.000Z'));
    expect(ca.notAfter.getTime() - ca.notBefore.getTime()).toBe(3652 * DAY_MS);
  });
});

describe('a stolen CA key', () => {
  it.each([
    { type: 'dns', value: 'example.com' },
    { type: 'dns', value: 'localhost.example.com' },
    { type: 'ip', value: '192.0.2.1' },
    { type: 'ip', value: '2001:db8::1' },
  ] as const)('cannot issue certificates for other names: the constraints exclude $value', async (name) => {
    const ca = await openLocalCa(caDir);
    const options = { ca: ca.certificatePem, checkServerIdentity: () => undefined };
    expect(await visit(await forge(name), options)).toBe('Error: permitted subtree violation');
    expect(await visit(await forge({ type: 'dns', value: 'mine.localhost' }), options)).toBe('trusted');
  });
});

describe('openssl', () => {
  it('verifies the chain strictly', async (context) => {
    const openssl = await programFor(context, 'openssl');
    const ca = await openLocalCa(caDir);
    const leafFile = join(home, 'leaf.pem');
    await writeFile(leafFile, (await ca.issue(['web.localhost', '127.0.0.1'])).cert);
    const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', certificateFile];
    expect(
      spawnSync(openssl, [...verify, '-verify_hostname', 'web.localhost', leafFile]).stdout.toString(),
    ).toBe(`${leafFile}: OK\n`);
    expect(spawnSync(openssl, [...verify, '-verify_ip', '127.0.0.1', leafFile]).status).toBe(0);
  });

  it('reads the intended constraints', async (context) => {
    const openssl = await programFor(context, 'openssl');
    await openLocalCa(caDir);
    const { stdout } = spawnSync(openssl, ['x509', '-in', certificateFile, '-noout', '-text']);
    expect(stdout.toString().replaceAll(/\s+/g, ' ')).toContain(
      'X509v3 Name Constraints: critical Permitted: DNS:localhost DNS:test DNS:internal DNS:local DNS:home.arpa ' +
        'IP:127.0.0.0/255.0.0.0 IP:0:0:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF',
    );
  });
});

describe('its files', () => {
  it('are created once, and reused', async () => {
    const ca = await openLocalCa(caDir);
    const again = await openLocalCa(caDir);
    expect(again.fingerprint).toBe(ca.fingerprint);
    expect(ca.certificateFile).toBe(certificateFile);
    expect(await readFile(certificateFile, 'utf8')).toBe(ca.certificatePem);
    expect(ca.fingerprint).toBe(
      new X509Certificate(ca.certificatePem).fingerprint256.replaceAll(':', '').toLowerCase(),
    );
  });

  it('are created by many processes at once: all get the same CA, and no temporary file remains', async () => {
    const cas = await Promise.all(Array.from({ length: 16 }, () => openLocalCa(caDir)));
    expect(new Set(cas.map(({ fingerprint }) => fingerprint)).size).toBe(1);
    expect((await readdir(caDir)).toSorted()).toStrictEqual(['ca.key.pem', 'ca.pem']);
  });

  it('let only the owner read the key', async (context) => {
    needsModes(context);
    await openLocalCa(caDir);
    const modes = await Promise.all([caDir, keyFile].map((path) => stat(path)));
    expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toStrictEqual(['700', '600']);
    expect((await stat(certificateFile)).mode & 0o022).toBe(0);
  });

  it('reject a key that others can read, with the command that fixes it', async (context) => {
    needsModes(context);
    await openLocalCa(caDir);
    await chmod(keyFile, 0o640);
    expect(await failure()).toMatchObject({
      code: 'certificate_unavailable',
      message: `${keyFile} is open to other users (mode 640)`,
      hint: expect.stringContaining(`Run: chmod 600 ${shellQuote(keyFile)}`) as string,
    });
  });

  it.each([
    ['garbage', () => 'no key'],
    [
      'a key of another kind',
      () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
  ])('%s instead of a key: rejected and left unchanged', async (_what, content) => {
    await openLocalCa(caDir);
    await writeFile(keyFile, content());
    expect(await failure()).toMatchObject({
      code: 'certificate_unavailable',
      message: `${keyFile} is not the key of a local CA`,
    });
  });

  it.each([
    ['near its end', 89, /expires on/],
    ['past its end', -1, /expired on/],
  ])(
    'a certificate %s: replaced with a warning, and its leaves stay valid',
    async (_what, daysLeft, reason) => {
      const { log, warnings } = recorder();
      const old = await openLocalCa(caDir, { log });
      const leaf = await old.issue(['a.localhost']);
      const end = Date.parse(new X509Certificate(old.certificatePem).validTo);
      expect(warnings).toStrictEqual([]);

      const now = new Date(end - daysLeft * DAY_MS);
      const made: (string | undefined)[] = [];
      const onCreated = (_file: string, replaces?: string): void => void made.push(replaces);
      const renewed = await openLocalCa(caDir, { log, now: () => now, onCreated });
      expect(made).toEqual([expect.stringMatching(reason)]);
      expect(warnings).toStrictEqual([
        [
          { file: certificateFile, reason: expect.stringMatching(reason) },
          expect.stringMatching(/portal trust/),
        ],
      ]);
      expect(renewed.fingerprint).not.toBe(old.fingerprint);
      expect(await readFile(certificateFile, 'utf8')).toBe(renewed.certificatePem);
      expect(new X509Certificate(leaf.cert).checkIssued(new X509Certificate(renewed.certificatePem))).toBe(
        true,
      );
      expect((await openLocalCa(caDir, { log, now: () => now })).fingerprint).toBe(renewed.fingerprint);
    },
  );

  it.each([
    ['that is not PEM', async () => 'no certificate', 'was invalid'],
    [
      'of another key',
      async () => (await openLocalCa(join(home, 'other'))).certificatePem,
      'did not belong to its key',
    ],
  ])('a certificate %s: replaced with a warning', async (_what, content, reason) => {
    const { log, warnings } = recorder();
    const { fingerprint } = await openLocalCa(caDir);
    await writeFile(certificateFile, await content());
    const ca = await openLocalCa(caDir, { log });
    expect(ca.fingerprint).not.toBe(fingerprint);
    expect(warnings).toMatchObject([[{ reason }, expect.any(String)]]);
    expect(
      await visit(await ca.issue(['a.localhost']), { ca: ca.certificatePem, servername: 'a.localhost' }),
    ).toBe('trusted');
  });

  it('report that they cannot be created', async () => {
    await writeFile(join(home, 'data'), 'a file where a folder should be');
    expect(await failure()).toMatchObject({
      code: 'state_unwritable',
      message: expect.stringContaining('cannot be written'),
    });
  });
});
