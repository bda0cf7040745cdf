import { kindOf, type ServiceSpec } from '../../agent/spec.js';
import type { LeaseStatus } from '../../agent/status.js';
import { sameAddress } from '../../config/files/lock-file.js';
import type { Identity } from '../../identity/identity.js';
import { checksummed } from '../../lib/eip55.js';
import { asPortalError } from '../../lib/errors.js';
import { PlaceConnector } from '../connect/connection.js';
import { knownAgent } from '../connect/known-agents.js';
import type { Door } from '../connect/open.js';
import { doorOf, placeOf } from '../connect/places.js';
import type { Subject } from './report.js';

/** Checks that this machine reaches a private service, as `portal connect` does. */

export interface PrivateContext {
  /** Undefined before it exists. */
  readonly identity: Identity | undefined;
  /** Of the running agent; undefined if no agent is running. */
  readonly leases: readonly LeaseStatus[] | undefined;
  readonly knownAgentsFile: string;
}

const CHECK = 'service.private';
const START = 'run `portal up`';
const NEVER = new AbortController().signal;

export async function checkPrivate(
  spec: ServiceSpec,
  context: PrivateContext,
  subject: Subject,
): Promise<void> {
  const { identity, leases } = context;
  if (!spec.access.identities || kindOf(spec.mode) !== 'tls') return;
  if (!identity) return subject.skipped(CHECK, 'run `portal identity new`');
  const { isOwn, isListed } = ownershipOf(spec, identity);
  if (!isOwn && !isListed)
    return subject.skipped(CHECK, `have your identity ${identity.address} added to \`access.identities\``);
  if (!leases && !isListed) return subject.skipped(CHECK, START);
  const isInChain = spec.relays.some(({ kind }) => kind === 'chain');
  if (isInChain)
    subject.ok(CHECK, 'not connected to over a chain, which could reveal your address to a relay');
  const doors = doorsOf(spec, leases);
  if (doors.length === 0 && !isInChain) subject.skipped(CHECK, START);
  for (const door of doors) {
    try {
      await visit(spec, door, identity, context.knownAgentsFile);
      subject.ok(CHECK, `\`portal connect ${spec.service}\` reaches ${door.hostname} with your identity`);
    } catch (error) {
      // The agent of a service of one's own is not running yet.
      if (!leases && isOwn && asPortalError(error).code === 'service_offline') subject.skipped(CHECK, START);
      else subject.failed(CHECK, error);
    }
  }
}

function ownershipOf({ identity: owner, access: { identities = [] } }: ServiceSpec, { address }: Identity) {
  return {
    /** As far as the file says. */
    isOwn: owner === undefined || sameAddress(owner, address),
    isListed: identities.some((each) => sameAddress(each, address)),
  };
}

/** Relays of a pool are known to the running agent alone. */
function doorsOf(spec: ServiceSpec, leases: PrivateContext['leases'] = []): Door[] {
  const relays = spec.relays.filter(
    (relay) => relay.kind !== 'chain' && (relay.kind !== 'embedded' || relay.port !== 0),
  );
  if (spec.relays.length > 0) return relays.map((relay) => doorOf(relay, spec));
  const urls = leases.flatMap(({ service, url }) => (service === spec.service && url ? [url] : []));
  return urls.flatMap((url) => placeOf(url).doors);
}

async function visit(spec: ServiceSpec, door: Door, identity: Identity, knownAgents: string): Promise<void> {
  const { hostname } = door;
  const owner = spec.identity ?? (await knownAgent(knownAgents, hostname));
  const place = { service: spec.service, hostname, doors: [door] };
  const connector = new PlaceConnector(place, identity, { address: owner && checksummed(owner) });
  const { socket } = await connector.open('check', NEVER);
  socket.destroy();
}
