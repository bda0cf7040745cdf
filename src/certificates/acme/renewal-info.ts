import { exchange, retryAfterMs, type Wire } from './transport.js';

/**
 * A CA's suggestion of when to renew a certificate (RFC 9773). It is early if the CA is about to revoke the certificate.
 * Otherwise it spreads the CA's load.
 */

export interface Suggestion {
  /** A moment within the suggested window. */
  readonly renewAt: number;
  /** Pause before asking again. */
  readonly againMs: number;
}

const MIN_AGAIN_MS = 3_600_000;
const USUAL_AGAIN_MS = 6 * 3_600_000;
const MAX_AGAIN_MS = 24 * 3_600_000;

/** Asks a CA when to renew a certificate (PEM). Undefined if the CA suggests nothing. */
export async function fetchRenewalTime(
  wire: Wire,
  directory: string,
  cert: string,
): Promise<Suggestion | undefined> {
  const { renewalInfo } = parse((await exchange(wire, { url: directory, method: 'GET' })).text);
  if (typeof renewalInfo !== 'string') return undefined;
  const id = await certificateId(cert);
  if (id === undefined) return undefined;
  const { status, text, headers } = await exchange(wire, {
    url: `${renewalInfo.replace(/\/$/, '')}/${id}`,
    method: 'GET',
  });
  if (status !== 200) return undefined;
  const { suggestedWindow = {} } = parse(text) as { suggestedWindow?: { start?: string; end?: string } };
  const [start, end] = [Date.parse(suggestedWindow.start ?? ''), Date.parse(suggestedWindow.end ?? '')];
  if (!(end >= start)) return undefined;
  const againMs = retryAfterMs(headers['retry-after']) ?? USUAL_AGAIN_MS;
  return {
    renewAt: start + Math.random() * (end - start),
    againMs: Math.min(MAX_AGAIN_MS, Math.max(MIN_AGAIN_MS, againMs)),
  };
}

/** RFC 9773 §4.1: the issuer's key identifier and the serial number, each in base64url. */
async function certificateId(pem: string): Promise<string | undefined> {
  const { AuthorityKeyIdentifierExtension, X509Certificate } = await import('@peculiar/x509');
  const certificate = new X509Certificate(pem);
  const issuer = certificate.getExtension(AuthorityKeyIdentifierExtension)?.keyId;
  if (issuer === undefined) return undefined;
  return [issuer, certificate.serialNumber]
    .map((hex) => Buffer.from(hex, 'hex').toString('base64url'))
    .join('.');
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
