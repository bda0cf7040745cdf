import { exchange, retryAfterMs, type Wire } from './transport.js';

/**
 * When a CA itself suggests to renew a certificate (RFC 9773): earlier than anyone would by the clock when it is about to
 * be revoked, and else spread as suits the CA.
 */

export interface Suggestion {
  /** A moment within the window that the CA suggests. */
  readonly renewAt: number;
  /** Worth asking again after this. */
  readonly againMs: number;
}

const MIN_AGAIN_MS = 3_600_000;
const USUAL_AGAIN_MS = 6 * 3_600_000;
const MAX_AGAIN_MS = 24 * 3_600_000;

/** Asks a CA about a certificate, PEM; undefined when the CA suggests nothing. */
export async function askWhenToRenew(
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

/** RFC 9773 §4.1: the issuer's key and the serial number, each in base64url. */
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
