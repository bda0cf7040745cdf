import { PortalError, systemCode } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { isProxyError, type ProxyFor } from '../../net/proxy/server.js';
import { sendRequest } from '../../net/http/send-request.js';
import { UNTRUSTED } from '../../net/tls/untrusted.js';
import { AcmeProblem, type ProblemDocument } from './problem.js';

/**
 * How requests reach a CA. Each is sent once, has a timeout and can be cancelled. An error response rejects with its
 * meaning.
 */

export interface Wire {
  readonly signal: AbortSignal;
  /** PEM of the CA that signs the directory's own HTTPS certificate. Default: the system's CAs. */
  readonly trust?: string;
  readonly proxyFor?: ProxyFor | undefined;
}

const REQUEST_MS = 20_000;
const MAX_RESPONSE_BYTES = 1024 * 1024;
/** The longest rate limits of CAs last a week. */
const MAX_RETRY_AFTER_MS = 7 * 24 * 3_600_000;

interface Exchange {
  readonly url: string;
  readonly method: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | undefined;
}

export interface AcmeResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly text: string;
}

/** Sends one request to a CA. Rejects with `acme_unreachable` if no response arrives in time. */
export async function exchange(wire: Wire, { url, method, headers, body }: Exchange): Promise<AcmeResponse> {
  const signal = AbortSignal.any([wire.signal, AbortSignal.timeout(REQUEST_MS)]);
  try {
    const sent = { url, method, headers, body, ms: REQUEST_MS, signal, maxBytes: MAX_RESPONSE_BYTES };
    const answer = await sendRequest({ ...sent, trust: wire.trust, proxyFor: wire.proxyFor });
    const fields = Object.entries(answer.headers).map(([name, value]) => [name, String(value)]);
    return { ...answer, headers: Object.fromEntries(fields) as Record<string, string> };
  } catch (error) {
    if (wire.signal.aborted) throw new PortalError('aborted', 'the order was cancelled', { cause: error });
    if (error instanceof PortalError && isProxyError(error)) throw error;
    if (UNTRUSTED.has(systemCode(error) ?? '')) throw untrusted(url, wire.trust, error);
    throw unreachable(
      url,
      signal.aborted ? `no response within ${REQUEST_MS} ms` : failureReason(error),
      error,
    );
  }
}

function unreachable(url: string, reason: string, cause?: unknown): PortalError {
  return new PortalError('acme_unreachable', `the CA at ${hostOf(url)} is unreachable: ${reason}`, {
    cause,
  });
}

/** The CA responds, but its own HTTPS certificate is from a CA that this machine does not trust. */
function untrusted(url: string, trust: string | undefined, cause: unknown): PortalError {
  return new PortalError(
    'acme_unreachable',
    `the certificate of the CA at ${hostOf(url)} is not trusted: ${failureReason(cause)}`,
    {
      cause,
      hint: untrustedHint(systemCode(cause), trust),
    },
  );
}

function untrustedHint(code: string | undefined, trust: string | undefined): string {
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return "Check this machine's clock. If it is right, tell the operator of the CA.";
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return "Correct the host in the URL of the CA's directory.";
  if (trust !== undefined)
    return "Replace the file of `acme: { ca }` or --acme-ca with the CA's present root certificate. If the CA now has a publicly trusted certificate, remove the setting.";
  return "Name the file of the CA's root certificate: `acme: { ca }` in portal.yaml, --acme-ca for `portal relay`. If a proxy on your network intercepts TLS, have the CA's host exempted.";
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url);

function problemOf(text: string): ProblemDocument {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/**
 * The error for a status of 400 and above. A server error means that the CA is unreachable; any other status is a
 * rejection.
 */
export function problemError({ status, headers, text }: AcmeResponse): Error {
  const problem = problemOf(text);
  const pauseMs = retryAfterMs(headers['retry-after']);
  const rateLimit = { type: 'urn:ietf:params:acme:error:rateLimited', detail: `HTTP ${status}` };
  if (status === 429) return new AcmeProblem({ ...rateLimit, ...problem }, pauseMs);
  if (problem.type === undefined || status >= 500) {
    return new PortalError('acme_unreachable', `the CA has a server error: HTTP ${status}`, {
      cause: problem.detail,
      ...(pauseMs !== undefined && { retryAfterMs: pauseMs }),
    });
  }
  return new AcmeProblem(problem, pauseMs);
}

/** RFC 9110 §10.2.3: seconds, or a date. A date far in the future is a mistake and would stop all attempts. */
export function retryAfterMs(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
