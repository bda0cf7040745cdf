import { randomUUID } from 'node:crypto';
import { PortalError } from '../../lib/errors.js';
import { kindOf, type LeaseKind } from '../../protocol/kind.js';
import type { FromAgent } from '../../protocol/messages.js';
import type { LeaseClaim } from '../directory/directory.js';
import { placeOf, replicaPlaceOf, type ReplicaState } from '../directory/record.js';
import { plainHostname, type DomainProofs } from '../names/domains.js';
import type { ReservedLabels } from '../names/labels.js';
import { hostnameFor } from '../names/names.js';
import type { OwnHolder } from './lease.js';
import type { PublicPorts } from './ports.js';

type Request = FromAgent<'lease.open'>;

export interface LeaseClaimsOptions {
  readonly ports: Pick<PublicPorts, 'offers'>;
  readonly domains: DomainProofs;
  readonly labels: ReservedLabels;
  readonly domain: string;
  /** The name of this node's machine, for public ports. Default: the domain. */
  readonly nodeHost?: string | undefined;
}

/** Turns requests for leases into claims on places, and rejects what this relay cannot offer to an identity. */
export class LeaseClaims {
  readonly #options: LeaseClaimsOptions;

  constructor(options: LeaseClaimsOptions) {
    this.#options = options;
  }

  /** What `request` asks for. Throws if this relay cannot offer it to the identity of `holder`. */
  async of(holder: OwnHolder, request: Request): Promise<LeaseClaim> {
    const { ports, domain, nodeHost } = this.#options;
    const { name, hostname: asked, mode, carrier, replicas } = request;
    const kind = kindOf(mode);
    if (kind !== 'tls' && !ports.offers(kind))
      throw new PortalError('capability_missing', `this relay offers no ${kind} ports`);
    const own = asked === undefined ? undefined : plainHostname(asked);
    if (own === undefined) this.#options.labels.check(name, holder.address);
    else await this.#proveDomain(own, kind, holder);
    const hostname = own ?? hostnameFor(name, domain);
    const publicPlace = placeOf({ kind, hostname });
    return {
      id: randomUUID(),
      place: replicas ? replicaPlaceOf(publicPlace, holder.instance) : publicPlace,
      name,
      hostname,
      isOwnDomain: own !== undefined,
      kind,
      owner: holder.address,
      instance: holder.instance,
      portHost: kind === 'tls' ? undefined : nodeHost,
      session: holder.id,
      port: undefined,
      carrier,
      ...(replicas && { replica: replicaStateOf(replicas) }),
    };
  }

  async #proveDomain(hostname: string, kind: LeaseKind, { address }: OwnHolder): Promise<void> {
    if (kind !== 'tls')
      throw new PortalError('capability_missing', 'a tcp or udp service cannot have its own hostname');
    await this.#options.domains.prove(hostname, address);
  }
}

const replicaStateOf = ({ policy, healthy = true }: NonNullable<Request['replicas']>): ReplicaState => ({
  policy,
  healthy,
  probingFrom: undefined,
  validating: false,
  listens: false,
});
