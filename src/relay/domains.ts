import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import pLimit, { type LimitFunction } from 'p-limit';
import { PortalError, systemCode } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { within } from '../lib/wait.js';
import { PROOF_LABEL, PROOF_PREFIX } from '../protocol/domains.js';

/**
 * Who may answer for a hostname outside the relay's domain: the identity that a TXT record of the hostname names.
 * Whoever can write that record holds the domain, and nobody else can have it served here.
 */

interface DomainLimits {
  /** One lookup. */
  readonly domainLookupMs: number;
  readonly maxDomainLookups: number;
  /** What was found absent is not looked up again before this. */
  readonly domainRetryMs: number;
  /** What was proven is looked at again after this. */
  readonly domainRecheckMs: number;
  /** A proof that cannot be looked at again, because DNS does not answer, holds for this long. */
  readonly domainGraceMs: number;
}

export interface DomainOptions {
  /** The relay's own domain: names below it are given out, not proven. */
  readonly domain: string;
  /** DNS servers to ask, `address:port`; left out, the system's. */
  readonly servers?: readonly string[];
  readonly limits: DomainLimits;
  readonly log: Logger;
}

/** What DNS says of an identity and a hostname. */
type Finding =
  | { readonly kind: 'proven' }
  /** Records are there, and name others; or there is none. */
  | { readonly kind: 'absent'; readonly others: number }
  /** DNS does not answer: nothing is known. */
  | { readonly kind: 'unknown'; readonly reason: string };

interface Line {
  readonly limit: LimitFunction;
  /** Lookups under way, by hostname: whoever asks meanwhile waits for the same. */
  readonly asking: Map<string, Promise<string[]>>;
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** c-ares' words for: the name is not there, or has no such record. */
const ABSENT = new Set(['ENOTFOUND', 'ENODATA']);

/** The record that proves `hostname` for an identity, as it is written in a zone. */
function proofRecord(hostname: string, address: string): string {
  return `${PROOF_LABEL}.${hostname}. TXT "${PROOF_PREFIX}${address}"`;
}

export class DomainProofs {
  readonly #options: DomainOptions;
  readonly #resolver: dns.Resolver;
  /**
   * Those who have proven a domain wait in a line of their own: anyone may ask for names of which DNS is silent, and
   * would hold them up until their proofs are too old.
   */
  readonly #lines: Readonly<Record<'proven' | 'unproven', Line>>;
  /** When each pair of hostname and identity was proven last, or found unproven. */
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
   * Whether `address` may serve `hostname`. Throws `domain_unproven` with the record to make, and `name_invalid` for
   * what cannot be a domain of somebody's own.
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
   * Looks at a proof again. Resolves with why it holds no longer, in few words; undefined while it does, and while
   * DNS not answering is tolerated.
   */
  async recheck(hostname: string, address: string): Promise<string | undefined> {
    const key = keyOf(hostname, address);
    if ((this.#provenAt.get(key) ?? -Infinity) + this.#options.limits.domainRecheckMs > performance.now())
      return undefined;
    const found = await this.#look(hostname, address);
    if (found.kind === 'proven') return undefined;
    if (found.kind === 'unknown') {
      this.#options.log.warn({ hostname, reason: found.reason }, 'a domain could not be looked at again');
      return this.#holds(key) ? undefined : 'DNS did not answer for too long, the domain is unproven';
    }
    this.#provenAt.delete(key);
    return 'its TXT record in DNS does not name your identity any more';
  }

  /** Forgets what is too old to matter. */
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
        // A long text is cut into strings of 255 bytes, which belong together (RFC 7208 §3.3 says so for SPF).
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

  /** Bounded: whoever asks for ever new names must not fill the memory. */
  #refuse(key: string, error: PortalError): void {
    const [oldest] = this.#refusedAt.keys();
    if (oldest !== undefined && this.#refusedAt.size >= 10_000) this.#refusedAt.delete(oldest);
    this.#refusedAt.set(key, { at: performance.now(), error });
  }
}

const keyOf = (hostname: string, address: string): string => `${hostname} ${address}`;

/** A hostname in the one form it is compared by. */
export function plainHostname(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '');
}

function checkHostname(hostname: string, domain: string): void {
  if (hostname === domain || hostname.endsWith(`.${domain}`)) {
    throw new PortalError(
      'name_invalid',
      `${hostname} is below this relay's own domain, where names are given out; ask for it by \`name\``,
    );
  }
  const labels = hostname.split('.');
  if (labels.length < 2 || isIP(hostname) !== 0 || !labels.every((label) => LABEL.test(label)))
    throw new PortalError('name_invalid', `"${hostname}" is not a domain of somebody's own`);
}

function unproven(hostname: string, address: string, found: Finding, retryAfterMs: number): PortalError {
  const record = proofRecord(hostname, address);
  const why =
    found.kind === 'unknown'
      ? `DNS does not answer (${found.reason})`
      : found.kind === 'absent' && found.others > 0
        ? `its record names another identity`
        : `it has no such record`;
  return new PortalError('domain_unproven', `${hostname} is not proven to be yours, ${why}: ${record}`, {
    retryAfterMs,
  });
}
