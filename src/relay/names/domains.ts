import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import pLimit, { type LimitFunction } from 'p-limit';
import { PortalError, systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import { PROOF_LABEL, PROOF_PREFIX } from '../../protocol/domains.js';

/**
 * Which identity may serve a hostname outside the relay's domain: the identity named in a TXT record of the hostname.
 * Only someone who controls the domain can create that record.
 */

interface DomainLimits {
  /** Timeout of one lookup. */
  readonly domainLookupMs: number;
  readonly maxDomainLookups: number;
  /** Pause before an unproven domain is looked up again. */
  readonly domainRetryMs: number;
  /** Interval of checking a proven domain again. */
  readonly domainRecheckMs: number;
  /** How long a proof stays valid while DNS does not answer. */
  readonly domainGraceMs: number;
}

export interface DomainOptions {
  /** The relay's own domain. Names below it need no proof. */
  readonly domain: string;
  /** DNS servers, `address:port`. Default: the system's. */
  readonly servers?: readonly string[];
  readonly limits: DomainLimits;
  readonly log: Logger;
}

/** The result of a lookup. */
type Finding =
  | { readonly kind: 'proven' }
  /** DNS has no such record, or `others` records that name other identities. */
  | { readonly kind: 'absent'; readonly others: number }
  /** DNS does not answer. */
  | { readonly kind: 'unknown'; readonly reason: string };

interface Line {
  readonly limit: LimitFunction;
  /** Running lookups by hostname, shared by all requests. */
  readonly asking: Map<string, Promise<string[]>>;
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** Error codes of c-ares: the name or the record does not exist. */
const ABSENT = new Set(['ENOTFOUND', 'ENODATA']);

/** The TXT record that proves `hostname` for an identity, in zone file format. */
function proofRecord(hostname: string, address: string): string {
  return `${PROOF_LABEL}.${hostname}. TXT "${PROOF_PREFIX}${address}"`;
}

export class DomainProofs {
  readonly #options: DomainOptions;
  readonly #resolver: dns.Resolver;
  /**
   * Proven domains have their own queue of lookups. Anyone may request names for which DNS never answers, and would delay
   * the checks of proven domains until their proofs expire.
   */
  readonly #lines: Readonly<Record<'proven' | 'unproven', Line>>;
  /** When each pair of hostname and identity was last proven. */
  readonly #provenAt = new Map<string, number>();
  readonly #refusedAt = new Map<string, { at: number; error: PortalError }>();

  constructor(options: DomainOptions) {
    const { limits, servers } = options;
    this.#options = options;
    const line = (): Line => ({ limit: pLimit(limits.maxDomainLookups), asking: new Map() });
    this.#lines = { proven: line(), unproven: line() };
    this.#resolver = new dns.Resolver({ timeout: Math.ceil(limits.domainLookupMs / 3), tries: 2 });
    if (servers && servers.length > 0) this.#resolver.setServers([...servers]);
  }

  /**
   * Checks whether `address` may serve `hostname`. Throws `domain_unproven` with the record to create, and `name_invalid` for
   * a name that cannot be a user's own domain.
   */
  async prove(hostname: string, address: string): Promise<void> {
    checkHostname(hostname, this.#options.domain);
    const { domainRetryMs } = this.#options.limits;
    const key = keyOf(hostname, address);
    const refused = this.#refusedAt.get(key);
    if (refused && refused.at + domainRetryMs > performance.now()) throw refused.error;
    const found = await this.#look(hostname, address);
    if (found.kind === 'proven' || (found.kind === 'unknown' && this.#holds(key))) return;
    const error = unproven(hostname, address, found, domainRetryMs);
    this.#refuse(key, error);
    throw error;
  }

  /**
   * Checks a proof again. Resolves with a short reason if it is no longer valid. Undefined while it is valid, or while
   * DNS does not answer and the grace period runs.
   */
  async recheck(hostname: string, address: string): Promise<string | undefined> {
    const key = keyOf(hostname, address);
    if ((this.#provenAt.get(key) ?? -Infinity) + this.#options.limits.domainRecheckMs > performance.now())
      return undefined;
    const found = await this.#look(hostname, address);
    if (found.kind === 'proven') return undefined;
    if (found.kind === 'unknown') {
      this.#options.log.warn({ hostname, reason: found.reason }, 'cannot check a domain again');
      return this.#holds(key) ? undefined : 'DNS did not answer for too long, so the domain is unproven';
    }
    this.#provenAt.delete(key);
    return 'its TXT record in DNS no longer names your identity';
  }

  /** Forgets old results. */
  tidy(): void {
    const { domainGraceMs, domainRetryMs } = this.#options.limits;
    const now = performance.now();
    for (const [key, at] of this.#provenAt) if (at + domainGraceMs < now) this.#provenAt.delete(key);
    for (const [key, { at }] of this.#refusedAt) if (at + domainRetryMs < now) this.#refusedAt.delete(key);
  }

  close(): void {
    this.#resolver.cancel();
  }

  async #look(hostname: string, address: string): Promise<Finding> {
    try {
      const line = this.#holds(keyOf(hostname, address)) ? 'proven' : 'unproven';
      const values = await this.#records(hostname, this.#lines[line]);
      const named = values
        .filter((value) => value.startsWith(PROOF_PREFIX))
        .map((value) => value.slice(PROOF_PREFIX.length));
      if (!named.some((other) => other.trim().toLowerCase() === address.toLowerCase()))
        return { kind: 'absent', others: named.length };
      this.#provenAt.set(keyOf(hostname, address), performance.now());
      return { kind: 'proven' };
    } catch (error) {
      const code = systemCode(error);
      if (code !== undefined && ABSENT.has(code)) return { kind: 'absent', others: 0 };
      return { kind: 'unknown', reason: code ?? 'no answer' };
    }
  }

  #records(hostname: string, { limit, asking: lookups }: Line): Promise<string[]> {
    let asking = lookups.get(hostname);
    if (!asking) {
      const ask = async (): Promise<string[]> => {
        const { domainLookupMs } = this.#options.limits;
        const records = await within(
          this.#resolver.resolveTxt(`${PROOF_LABEL}.${hostname}`),
          domainLookupMs,
          'DNS',
        );
        // DNS splits a long text into strings of 255 bytes, to be joined again (as in RFC 7208 §3.3).
        return records.map((strings) => strings.join('').trim());
      };
      asking = limit(ask).finally(() => lookups.delete(hostname));
      lookups.set(hostname, asking);
    }
    return asking;
  }

  #holds(key: string): boolean {
    return (this.#provenAt.get(key) ?? -Infinity) + this.#options.limits.domainGraceMs > performance.now();
  }

  /** Limited in number: requests for ever new names must not fill the memory. */
  #refuse(key: string, error: PortalError): void {
    const [oldest] = this.#refusedAt.keys();
    if (oldest !== undefined && this.#refusedAt.size >= 10_000) this.#refusedAt.delete(oldest);
    this.#refusedAt.set(key, { at: performance.now(), error });
  }
}

const keyOf = (hostname: string, address: string): string => `${hostname} ${address}`;

/** The normalised form of a hostname. */
export function plainHostname(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '');
}

function checkHostname(hostname: string, domain: string): void {
  if (hostname === domain || hostname.endsWith(`.${domain}`)) {
    throw new PortalError(
      'name_invalid',
      `${hostname} is below this relay's own domain; use \`name\` for it`,
    );
  }
  const labels = hostname.split('.');
  if (labels.length < 2 || isIP(hostname) !== 0 || !labels.every((label) => LABEL.test(label)))
    throw new PortalError('name_invalid', `"${hostname}" cannot be a domain of your own`);
}

function unproven(hostname: string, address: string, found: Finding, retryAfterMs: number): PortalError {
  const record = proofRecord(hostname, address);
  const why =
    found.kind === 'unknown'
      ? `DNS does not answer (${found.reason})`
      : found.kind === 'absent' && found.others > 0
        ? 'its TXT record names another identity'
        : 'its TXT record is missing';
  return new PortalError(
    'domain_unproven',
    `${hostname} is not proven to be yours: ${why}. Required record: ${record}`,
    {
      retryAfterMs,
    },
  );
}
