import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import { systemCode } from '../../lib/errors.js';
import { CHECK_DNS } from '../../lib/failure-reason.js';
import { within } from '../../lib/wait.js';
import { allAddresses, isLocalhost } from '../../net/resolve.js';

const LOOKUP_MS = 5_000;
const ABSENT = new Set(['ENOTFOUND', 'ENODATA']);

export interface CaaRecord {
  readonly issue?: string;
  readonly issuewild?: string;
}

/** What to do about a DNS server that does not respond. It is one problem, however many names it concerns. */
export const DNS_DOWN = {
  hint: CHECK_DNS,
  facts: { cause: 'dns' },
} as const;

/** DNS lookups with a timeout. A missing name returns an empty list; a DNS failure throws. */
export class Names {
  readonly #resolver: dns.Resolver;
  readonly #isSystem: boolean;

  /** @param servers `address[:port]`; empty for the system's servers */
  constructor(servers: readonly string[]) {
    this.#resolver = new dns.Resolver({ timeout: 2_000, tries: 2 });
    this.#isSystem = servers.length === 0;
    if (!this.#isSystem) this.#resolver.setServers(servers);
  }

  /** Looks up a host as agents do, including the hosts file. */
  async ofMachine(host: string): Promise<string[]> {
    if (isIP(host) !== 0) return [host];
    return orNone(() => allAddresses(host));
  }

  /** Looks up a host in DNS, and follows aliases. Some servers answer for one family only, and refuse the other. */
  async addresses(host: string): Promise<string[]> {
    if (this.#isSystem && isLocalhost(host)) return this.ofMachine(host);
    const families = await Promise.allSettled([
      orNone(() => this.#resolver.resolve4(host)),
      orNone(() => this.#resolver.resolve6(host)),
    ]);
    const found = families.flatMap((family) => (family.status === 'fulfilled' ? family.value : []));
    const failed = families.find(({ status }) => status === 'rejected');
    if (found.length === 0 && failed?.status === 'rejected') throw failed.reason;
    return found;
  }

  /** Addresses that only this machine has for a host without DNS records: its hosts file, or a local resolver. */
  async onlyHere(host: string): Promise<string[]> {
    return this.#isSystem ? this.ofMachine(host).catch(() => []) : [];
  }

  async texts(name: string): Promise<string[]> {
    return (await orNone(() => this.#resolver.resolveTxt(name))).map((strings) => strings.join(''));
  }

  /** The CAA records that apply to `host`: its own, or those of the nearest parent domain (RFC 8659 §3). */
  async caa(host: string): Promise<{ readonly domain: string; readonly records: CaaRecord[] } | undefined> {
    const labels = host.split('.');
    for (let from = 0; from < labels.length - 1; from++) {
      const domain = labels.slice(from).join('.');
      const records = await orNone(() => this.#resolver.resolveCaa(domain));
      if (records.length > 0) return { domain, records };
    }
    return undefined;
  }
}

async function orNone<T>(lookUp: () => Promise<T[]>): Promise<T[]> {
  try {
    return await within(lookUp(), LOOKUP_MS, 'DNS');
  } catch (error) {
    if (ABSENT.has(systemCode(error) ?? '')) return [];
    throw error;
  }
}
