import { PortalError } from '../../lib/errors.js';

/** What a CA says when it refuses something (RFC 8555 §6.7, RFC 7807), and what that means in plain words. */

const NAMESPACE = 'urn:ietf:params:acme:error:';

/** The rate limit is lifted at a time that the CA did not name. */
const RATE_LIMIT_PAUSE_MS = 3_600_000;

export interface ProblemDocument {
  readonly type?: string;
  readonly detail?: string;
  readonly subproblems?: readonly ProblemDocument[];
}

/** An error answer of a CA, as it was sent. */
export class AcmeProblem extends Error {
  /** The type without its namespace (`rateLimited`), or `unknown`. */
  readonly type: string;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;

  /** The document may hold anything: a CA sent it. */
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

interface Explanation {
  /** Completes "no certificate for HOST: the CA …". */
  readonly what: string;
  readonly hint: (hostname: string) => string;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  caa: {
    what: 'may not issue it',
    hint: (hostname) =>
      `A CAA record of ${hostname}, or of a domain above it, names other CAs. Add this CA to it (for Let's Encrypt: 0 issue "letsencrypt.org"), or use a CA that is listed.`,
  },
  connection: {
    what: 'could not connect to validate',
    hint: (hostname) =>
      `The CA connects to port 443 of ${hostname}. Its address in DNS must lead to the relay, and the relay's public port be 443; \`portal doctor\` looks at both.`,
  },
  dns: {
    what: 'found no address for it',
    hint: (hostname) =>
      `Add an A, AAAA or CNAME record that leads ${hostname} to the relay; a record that is new may take a while to be seen.`,
  },
  incorrectResponse: {
    what: 'got a wrong answer when it validated',
    hint: (hostname) => `${hostname} must lead to the relay alone: look for a second A or AAAA record.`,
  },
  unauthorized: {
    what: 'got no right answer when it validated',
    hint: (hostname) =>
      `Every A and AAAA record of ${hostname} must lead to the relay, whose public port must be 443, with nothing between that ends TLS; \`portal doctor\` looks at these.`,
  },
  tls: {
    what: 'could not complete a TLS handshake to validate',
    hint: (hostname) =>
      `${hostname} must lead to the relay, and nothing on the way may end TLS or filter by ALPN.`,
  },
  rejectedIdentifier: {
    what: 'does not certify this name',
    hint: () =>
      'It refuses this name by its policy: names must be public, and not on its list of blocked ones.',
  },
  unsupportedIdentifier: {
    what: 'does not certify this name',
    hint: () => 'It certifies public DNS names only. For names of your own network use `tls: local`.',
  },
  externalAccountRequired: {
    what: 'wants an account that was made beforehand',
    hint: () => 'Portal has no settings for external account binding; use a CA that does without.',
  },
  invalidContact: {
    what: 'does not take the e-mail address',
    hint: () => 'Correct `acme: { email }`.',
  },
  unsupportedContact: {
    what: 'does not take the e-mail address',
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
    what: 'wants its terms agreed to again',
    hint: () => 'Read what it says, and follow it.',
  },
};

/** A CA's refusal as an error of ours. */
export function explainProblem(problem: AcmeProblem, hostname: string, ca: string): PortalError {
  const { type, detail } = problem;
  if (type === 'rateLimited') return rateLimited(problem, hostname, ca);
  const { what, hint } = EXPLANATIONS[type] ?? { what: 'refused', hint: () => '' };
  const help = hint(hostname);
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
    `no certificate for ${hostname} for now: a rate limit of ${ca} is reached (${problem.detail})`,
    {
      cause: problem,
      retryAfterMs: pauseMs,
      hint: `Nothing is wrong with your set-up; too many certificates or failed attempts were counted in too short a time. It is tried again at ${until}. Do not delete stored certificates or restart to hurry it: each new order counts. To try things out, set \`acme: { directory }\` to the CA's staging directory.`,
    },
  );
}
