import { ASKING_KINDS, GATE_KINDS } from '../../agent/access/kinds.js';
import { linkPath } from '../../agent/access/share/path.js';
import { SHARE_PARAMETER } from '../../agent/access/share/parameter.js';
import { Shares } from '../../agent/access/share/shares.js';
import type { ShareRecord, ShareStore } from '../../agent/access/share/store.js';
import type { ShareLink } from '../../agent/access/share/token.js';
import type { AgentLease } from '../../agent/lease/lease.js';
import type { AccessSpec } from '../../agent/spec.js';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';

/** The longest time that a link may be valid. */
const MAX_SHARE_MS = 90 * 86_400_000;

export interface ShareRequest {
  readonly service: string;
  /** Limits the link to this path and those below it. */
  readonly path: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** A new link. */
export interface Shared extends ShareRecord {
  /** The link at each address of the service. Secrets. */
  readonly links: readonly string[];
}

type Lease = Pick<AgentLease, 'spec' | 'phase' | 'address' | 'hostname' | 'sharesRevoked'>;

/** Creates share links for running services, and applies revocations to them. */
export class Sharing {
  readonly shares: Shares;
  readonly #store: ShareStore;
  readonly #leases: () => Iterable<Lease>;
  #loading: Promise<void> = Promise.resolve();

  constructor(identity: Identity, store: ShareStore, leases: () => Iterable<Lease>) {
    this.shares = new Shares(identity);
    this.#store = store;
    this.#leases = leases;
  }

  /** Reads which links are revoked, and disconnects their visitors. Until it succeeds, no link is valid. */
  load(): Promise<void> {
    // One after another, so that an earlier state never replaces a later one.
    this.#loading = this.#loading.catch(() => undefined).then(() => this.#load());
    return this.#loading;
  }

  /** Throws `usage` if the service has no gate that links pass, or no address yet, and `state_unwritable`. */
  async share({ service, path: asked, until }: ShareRequest): Promise<Shared> {
    const now = Date.now();
    const path = linkPath(asked);
    if (path === undefined)
      throw new PortalError('usage', `${JSON.stringify(asked)} cannot be the path of a link`);
    if (!(until > now && until <= now + MAX_SHARE_MS))
      throw new PortalError('usage', 'a link may be valid for at most 90 days');
    const leases = [...this.#leases()].filter(({ spec }) => spec.service === service);
    const [first] = leases;
    if (!first) throw new PortalError('usage', `the agent has no service ${JSON.stringify(service)}`);
    if (this.shares.settingsOf(first.spec.access) === undefined) throw noUse(service, first.spec.access);
    // Revocations must be known before a link is issued.
    await this.load();
    const link = this.shares.issue(path, until, now);
    const links = leases.flatMap((lease) => this.#linkAt(lease, link));
    if (links.length === 0)
      throw new PortalError('usage', `${service} has no address yet`, {
        hint: 'Wait until it is ready: portal status --wait-ready.',
      });
    const record: ShareRecord = {
      id: link.id,
      service,
      path,
      urls: links.map(({ url }) => url),
      issuedAt: new Date(link.issuedAt * 1_000).toISOString(),
      until: new Date(link.until * 1_000).toISOString(),
    };
    await this.#store.add(record, now);
    return { ...record, links: links.map(({ whole }) => whole) };
  }

  async #load(): Promise<void> {
    try {
      this.shares.revoked = await this.#store.revoked();
    } catch (error) {
      this.shares.revoked = undefined;
      throw error;
    } finally {
      for (const lease of this.#leases()) lease.sharesRevoked();
    }
  }

  #linkAt({ spec, phase, address, hostname }: Lease, link: ShareLink): { url: string; whole: string }[] {
    const settings = this.shares.settingsOf(spec.access);
    if (phase !== 'ready' || address.url === undefined || hostname === undefined || settings === undefined)
      return [];
    const url = `${address.url.replace(/\/$/, '')}${link.path}`;
    const token = this.shares.tokenOf(link, { hostname, service: spec.service, settings });
    return [{ url, whole: `${url}?${SHARE_PARAMETER}=${token}` }];
  }
}

/** Why a link to this service would open nothing that its address does not. */
function noUse(service: string, access: AccessSpec): PortalError {
  if (GATE_KINDS.every((kind) => kind.describe(access) === undefined))
    return new PortalError('usage', `${service} needs no link: everyone can already open its address`, {
      hint: 'Send its address, which `portal status` shows. To restrict it, set a gate such as `access.pin`.',
    });
  const set = ASKING_KINDS.filter(({ key }) => access[key] !== undefined).map(({ key }) => `\`${key}\``);
  const hint =
    set.length === 0
      ? 'Links pass the gates `pin`, `basic` and `oidc`, and this service has none of them. All other gates apply to links as well.'
      : `Set \`access.sharing: true\`, and links pass ${set.join(' and ')}.`;
  return new PortalError('usage', `links do not pass the gates of ${service}`, { hint });
}
