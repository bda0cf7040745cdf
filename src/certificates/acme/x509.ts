import { createHash, KeyObject, randomBytes, webcrypto } from 'node:crypto';

/** The X.509 parts of an ACME order. Loaded on first use, because the library loads slowly. */

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** RFC 8737 §6.1 */
const OID_ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';
const DAY_MS = 24 * 3_600_000;

interface KeyAndCertificate {
  /** Both are PEM. */
  readonly key: string;
  readonly cert: string;
}

/** A certificate signing request in DER, and its new key in PEM. */
export async function makeRequest(hostname: string): Promise<{ key: string; csr: Buffer }> {
  const lib = await import('@peculiar/x509');
  const keys = await newKeys();
  const request = await lib.Pkcs10CertificateRequestGenerator.create(
    {
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new lib.KeyUsagesExtension(lib.KeyUsageFlags.digitalSignature),
        new lib.SubjectAlternativeNameExtension([{ type: 'dns', value: hostname }]),
      ],
    },
    webcrypto,
  );
  return { key: pemOf(keys), csr: Buffer.from(request.rawData) };
}

/** The certificate with which the agent responds to the CA's connection (RFC 8737 §3). */
export async function makeChallengeCertificate(
  hostname: string,
  keyAuthorization: string,
): Promise<KeyAndCertificate> {
  const lib = await import('@peculiar/x509');
  const keys = await newKeys();
  const digest = createHash('sha256').update(keyAuthorization).digest();
  const certificate = await lib.X509CertificateGenerator.createSelfSigned(
    {
      keys,
      signingAlgorithm: SIGNING,
      serialNumber: `01${randomBytes(15).toString('hex')}`,
      name: new lib.Name([{ CN: ['ACME challenge'] }]),
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      extensions: [
        new lib.SubjectAlternativeNameExtension([{ type: 'dns', value: hostname }]),
        // An OCTET STRING of 32 bytes.
        new lib.Extension(
          OID_ACME_IDENTIFIER,
          true,
          Buffer.concat([Buffer.from([0x04, digest.length]), digest]),
        ),
      ],
    },
    webcrypto,
  );
  return { key: pemOf(keys), cert: certificate.toString('pem') };
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(SIGNING, true, ['sign', 'verify']);

const pemOf = ({ privateKey }: webcrypto.CryptoKeyPair): string =>
  KeyObject.from(privateKey).export({ type: 'pkcs8', format: 'pem' }).toString();
