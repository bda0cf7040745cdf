import { isIP } from 'node:net';
import type { AgentLease } from '../../agent/lease/lease.js';
import type { RelaySpec } from '../../agent/spec.js';
import { covers } from '../../certificates/local-names.js';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import { allAddresses } from '../../net/resolve.js';
import type { ProxyFor } from './endpoint.js';
import { dnsMissing, type Notice } from '../notices.js';

const LOOKUP_MS = 5_000;

export interface PublicNamesOptions {
  /** Rejects with ENOTFOUND for a name without addresses. Default: the system's resolver. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  readonly proxyFor?: ProxyFor | undefined;
  readonly notify: (notice: Notice) => void;
  readonly log: Logger;
}

/**
 * Finds relays without a DNS record for the names below their domain. The agent's own visits go to the address of the
 * relay, so they succeed without it.
 */
export class PublicNames {
  readonly #options: PublicNamesOptions;
  /** Domains of relays that were checked. */
  readonly #checked = new Set<string>();
  readonly #stop = new AbortController();

  constructor(options: PublicNamesOptions) {
    this.#options = options;
  }

  /** Looks up the name of the first ready service of each relay, once. Delays nothing. */
  ready(relay: RelaySpec, { spec, address: { url } }: Pick<AgentLease, 'spec' | 'address'>): void {
    // In a chain, a lookup would show the entry's name server where the agent is.
    if (relay.kind !== 'url' || url === undefined || spec.hostname !== undefined) return;
    const domain = new URL(relay.url).hostname;
    const isLocal = isIP(domain.replace(/^\[|\]$/g, '')) !== 0 || covers(domain);
    if (isLocal || this.#checked.has(domain) || this.#isProxied(relay.url)) return;
    this.#checked.add(domain);
    void this.#check(spec.service, new URL(url).hostname, domain);
  }

  close(): void {
    this.#stop.abort(new PortalError('aborted', 'the agent stops'));
  }

  /** Behind a proxy, this machine may have no DNS for public names. */
  #isProxied(url: string): boolean {
    try {
      return this.#options.proxyFor?.(url) !== undefined;
    } catch {
      return true;
    }
  }

  async #check(service: string, name: string, domain: string): Promise<void> {
    const { resolve = allAddresses, notify, log } = this.#options;
    const { signal } = this.#stop;
    try {
      await within(resolve(name), LOOKUP_MS, `looking up ${name}`, signal);
    } catch (error) {
      if (signal.aborted) return;
      // Only this error says that the name has no address. Others say that DNS does not work here.
      if (systemCode(error) === 'ENOTFOUND') notify(dnsMissing(service, name, domain));
      else log.debug({ name, reason: asPortalError(error).message }, 'cannot look up a public name');
    }
  }
}
