import { PortalError } from '../../lib/errors.js';

/** A CA's errors (RFC 8555 §6.7, RFC 7807), and their meaning in plain words. */

const NAMESPACE = 'urn:ietf:params:acme:error:';

/** Used if the CA does not say when its rate limit ends. */
const RATE_LIMIT_PAUSE_MS = 3_600_000;

export interface ProblemDocument {
  readonly type?: string;
  readonly detail?: string;
  readonly subproblems?: readonly ProblemDocument[];
}

/** A CA's error response, as received. */
export class AcmeProblem extends Error {
  /** The type without its namespace (`rateLimited`), or `unknown`. */
  readonly type: string;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;

  /** The document comes from a CA and may contain anything. */
  constructor(document: ProblemDocument, retryAfterMs?: number) {
    const { subproblems } = document;
    const deepest: unknown = Array.isArray(subproblems) ? subproblems[0] : undefined;
    const isCompound = document.type === `${NAMESPACE}compound` && isObject(deepest);
    const { type, detail }: Record<string, unknown> = isCompound ? deepest : { ...document };
    const said = typeof detail === 'string' ? detail.slice(0, 500) : 'no reason given';
    super(said);
    this.name = 'AcmeProblem';
    this.type =
      typeof type === 'string' && type.startsWith(NAMESPACE) ? type.slice(NAMESPACE.length) : 'unknown';
    this.detail = said;
    this.retryAfterMs = retryAfterMs;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** The CA's own trouble: the same order may work a moment later. */
const TEMPORARY: ReadonlySet<string> = new Set(['badNonce', 'serverInternal']);

/** What the certificate is for: a service of an agent, or the relay's own domain. */
export type CertificateOwner = 'service' | 'relay';

interface Explanation {
  /** Completes "no certificate for HOST: the CA …". */
  readonly what: string;
  readonly hint: (hostname: string, owner: CertificateOwner) => string;
}

/** How the CA gets to the public port. */
function reach(hostname: string, owner: CertificateOwner): string {
  const [server, target] =
    owner === 'relay' ? ['this server', 'this server'] : ["the relay's server", 'the relay'];
  return `Let the CA reach port 443 of ${server}: open 443/tcp in its firewall and at its hosting provider, and use 443 as the public port. Every A and AAAA record of ${hostname} must point to ${target}.`;
}

/** A relay's server usually has no portal.yaml to check. */
const checkedByDoctor = (owner: CertificateOwner): string =>
  owner === 'relay' ? '' : ' `portal doctor` checks this.';

function missingRecord(hostname: string, owner: CertificateOwner): string {
  if (owner === 'relay')
    return `Create an A record for ${hostname} with this server's IPv4 address, and an AAAA record if it has an IPv6 address.`;
  const parent = hostname.slice(hostname.indexOf('.') + 1);
  return `Create a record (A, AAAA or CNAME) that points ${hostname} to the relay. If ${parent} is the relay's domain, the record *.${parent} does so for all services.`;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  caa: {
    what: 'may not issue this certificate',
    hint: (hostname) =>
      `A CAA record of ${hostname}, or of a domain above it, names other CAs. Add this CA to the record (for Let's Encrypt: 0 issue "letsencrypt.org"), or use a listed CA.`,
  },
  connection: {
    what: 'could not connect for validation',
    hint: (hostname, owner) => `${reach(hostname, owner)}${checkedByDoctor(owner)}`,
  },
  dns: {
    what: 'found no address for the hostname',
    hint: (hostname, owner) =>
      `${missingRecord(hostname, owner)} New records can take some minutes to propagate.${checkedByDoctor(owner)}`,
  },
  incorrectResponse: {
    what: 'received a wrong response during validation',
    hint: (hostname) => `${hostname} must resolve only to the relay. Look for a second A or AAAA record.`,
  },
  unauthorized: {
    what: 'received a wrong response during validation',
    hint: (hostname, owner) =>
      `${reach(hostname, owner)} Nothing in between may end TLS.${checkedByDoctor(owner)}`,
  },
  tls: {
    what: 'could not complete a TLS handshake for validation',
    hint: (hostname) =>
      `${hostname} must resolve to the relay, and nothing in between may end TLS or filter by ALPN.`,
  },
  rejectedIdentifier: {
    what: 'does not issue certificates for this name',
    hint: () => 'The name violates its policy: a name must be public and not on its block list.',
  },
  unsupportedIdentifier: {
    what: 'does not issue certificates for this name',
    hint: () =>
      'It issues certificates for public DNS names only. For names in your own network, use `tls: local`.',
  },
  externalAccountRequired: {
    what: 'requires an existing account',
    hint: () => 'Portal does not support external account binding. Use a CA that does not require it.',
  },
  invalidContact: {
    what: 'rejects the email address',
    hint: () => 'Correct `acme: { email }`.',
  },
  unsupportedContact: {
    what: 'rejects the email address',
    hint: () => 'Correct `acme: { email }`.',
  },
  badNonce: {
    what: 'rejected every nonce that it issued',
    hint: () => 'Portal tries again soon. Several servers of the CA may not share their state.',
  },
  serverInternal: {
    what: 'failed',
    hint: () => 'Portal tries again soon; the status page of the CA may say more.',
  },
  userActionRequired: {
    what: 'requires you to accept its new terms',
    hint: () => 'Follow the instructions in its message.',
  },
};

/** Some CAs use another error type for a hostname without an address. Only the text identifies it. */
const NOT_RESOLVED = /could not resolve|no such host|NXDOMAIN/i;

export interface Ordered {
  readonly hostname: string;
  readonly owner: CertificateOwner;
  /** The CA's name in messages. */
  readonly ca: string;
}

/** Turns a CA's error into a PortalError. */
export function explainProblem(problem: AcmeProblem, { hostname, owner, ca }: Ordered): PortalError {
  const { detail } = problem;
  if (problem.type === 'rateLimited') return rateLimited(problem, hostname, ca);
  const type = NOT_RESOLVED.test(detail) ? 'dns' : problem.type;
  const { what, hint } = EXPLANATIONS[type] ?? { what: 'refused', hint: () => '' };
  const help = hint(hostname, owner);
  const code = TEMPORARY.has(type) ? 'acme_unreachable' : 'acme_rejected';
  return new PortalError(code, `no certificate for ${hostname}: ${ca} ${what} (${detail})`, {
    cause: problem,
    ...(help && { hint: help }),
    ...(problem.retryAfterMs === undefined ? {} : { retryAfterMs: problem.retryAfterMs }),
  });
}

function rateLimited(problem: AcmeProblem, hostname: string, ca: string): PortalError {
  const pauseMs = problem.retryAfterMs ?? RATE_LIMIT_PAUSE_MS;
  const until = new Date(Date.now() + pauseMs).toISOString();
  return new PortalError(
    'acme_rate_limited',
    `no certificate for ${hostname} for now: ${ca} reports a rate limit (${problem.detail})`,
    {
      cause: problem,
      retryAfterMs: pauseMs,
      hint: `Your setup may be correct: the CA counted too many certificates or failed attempts in a short time. Portal retries at ${until}, even after a restart. Do not delete stored certificates, because each new order counts. For tests, set \`acme: { directory }\` to the CA's staging directory.`,
    },
  );
}
