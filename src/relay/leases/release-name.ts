import { PortalError } from '../../lib/errors.js';
import { LEASE_KINDS } from '../../protocol/kind.js';
import type { LeaseDirectory } from '../directory/directory.js';
import { placeOf } from '../directory/record.js';
import type { Reservations } from '../names/reservations.js';
import type { RemoteSessions } from '../nodes/remote-sessions.js';
import type { ReturningAgents } from '../sessions/returning-agents.js';
import type { LeaseTable } from './lease-table.js';

export interface ReleaseNameParts {
  readonly table: LeaseTable;
  readonly directory: LeaseDirectory;
  readonly remote: Pick<RemoteSessions, 'drop'>;
  readonly returning: ReturningAgents;
  readonly reservations: Reservations;
  readonly domain: string;
}

/**
 * Releases a name that `identity` has reserved, with its ports. Any identity may take it then. Ends a lease that waits for
 * its agent. Throws `name_in_use` while an agent serves the name, and `not_found` if this identity has not reserved it.
 */
export async function releaseName(parts: ReleaseNameParts, identity: string, name: string): Promise<void> {
  const { table, returning, reservations } = parts;
  const leases = [...table.all()].filter(
    ({ record }) => record.owner === identity && record.name === name && !record.isOwnDomain,
  );
  if (leases.some(({ holder }) => holder)) throw nameInUse(name);
  await dropElsewhere(parts, identity, name);
  for (const lease of leases) table.remove(lease);
  returning.forget(name);
  if (await reservations.release(name, identity)) return;
  throw new PortalError('not_found', `"${name}" is not reserved for your identity on this relay`);
}

/** Ends the leases of `identity` for `name` that wait for their agent at other nodes. Throws `name_in_use`. */
async function dropElsewhere(
  { directory, domain, remote }: ReleaseNameParts,
  identity: string,
  name: string,
): Promise<void> {
  const hostname = `${name}.${domain}`;
  const records = LEASE_KINDS.flatMap((kind) => directory.at(placeOf({ kind, hostname }))).filter(
    ({ owner, node }) => owner === identity && node !== directory.node,
  );
  if (records.some(({ session }) => session !== undefined)) throw nameInUse(name);
  for (const { node, place } of records) await remote.drop(node, place);
}

function nameInUse(name: string): PortalError {
  return new PortalError(
    'name_in_use',
    `an agent serves "${name}" now; stop or disconnect the agent, then release the name`,
  );
}
