import type { Socket } from 'node:net';
import { resetSocket } from '../../net/splice/reset.js';
import type { Datagrams } from '../datagrams/datagrams.js';
import type { AccessLists } from './access-lists.js';
import type { Hops } from '../hops/hops.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { Sessions } from '../sessions/sessions.js';

export interface DisconnectParts {
  readonly denied: AccessLists;
  readonly sessions: Sessions;
  readonly hops: Hops;
  readonly datagrams: Datagrams;
  readonly leases: LeaseRegistry;
}

/** Disconnects agents and visitors that the changed lists of `denied` no longer permit. */
export function disconnectDenied({ denied, sessions, hops, datagrams, leases }: DisconnectParts): void {
  // A control channel gets the reason before it closes, so it is not reset.
  const told = new Set<Socket | undefined>();
  for (const session of sessions) {
    const error = denied.disconnects({ identity: session.address, address: session.remoteAddress });
    if (!error) continue;
    session.refuse(error);
    told.add(session.connection);
    if (session.address !== '') hops.closeOf(session.address);
  }
  for (const socket of denied.unwanted()) if (!told.has(socket)) resetSocket(socket);
  datagrams.dropUnwanted();
  leases.removeWhere(
    ({ record, agentAddress }) => !denied.permits({ identity: record.owner, address: agentAddress }),
  );
}
