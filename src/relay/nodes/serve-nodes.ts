import { until } from '../../lib/wait.js';
import type { FromRelay, WireCarrier } from '../../protocol/messages.js';
import { PortalError } from '../../lib/errors.js';
import { LIMITS } from '../../protocol/limits.js';
import type { LeaseDirectory } from '../directory/directory.js';
import type { Hops } from '../hops/hops.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { Sessions } from '../sessions/sessions.js';
import { shownAs, type PlainTicket } from '../tickets/shown-ticket.js';
import type { DataTickets } from '../tickets/data-tickets.js';
import type { UnservedCause } from '../visitors/unserved.js';
import type { Nodes } from './nodes.js';
import type { RemoteSessions } from './remote-sessions.js';

export interface NodeParts {
  readonly nodes: Nodes;
  readonly directory: LeaseDirectory;
  readonly sessions: Sessions;
  readonly leases: LeaseRegistry;
  readonly tickets: DataTickets;
  readonly hops: Hops;
  readonly remote: RemoteSessions;
}

/** How long a port may take to close once another node has its lease. */
const FREE_MS = 1_000;

/** Lets the other nodes use the sessions, tickets and leases of this node. */
export function serveNodes({ nodes, directory, sessions, leases, tickets, hops, remote }: NodeParts): void {
  nodes.serve({
    send: (from: string, session: string, message: FromRelay<'dial' | 'visit'>) => {
      const there = sessions.find(session);
      if (there?.open) there.forward(message);
      else nodes.tell(from, 'ended', session);
    },
    ended: (_from: string, session: string) => remote.end(session),
    alive: async (_from: string, session: string, ms: number) => sessions.find(session)?.alive(ms) ?? false,
    redeem: (from: string, ticket: PlainTicket, carrier: WireCarrier) =>
      tickets.redeemFor(from, shownAs(ticket), carrier),
    redeemHop: (_from: string, ticket: PlainTicket, target: string) =>
      hops.redeemFor(shownAs(ticket), target),
    gaveUp: (_from: string, place: string, reason: UnservedCause, count: number) => {
      const lease = leases.own(place);
      if (!lease) return;
      lease.unserved.add(reason, count);
      lease.holder?.gaveUp(lease);
    },
    cut: (_from: string, place: string) => leases.elsewhere.cut(place),
    drop: (_from: string, place: string) => leases.drop(place),
    heard: async (from: string, place: string, epoch: number) => {
      const hasHeard = (): boolean => (directory.lookup(place)?.epoch ?? Infinity) > epoch;
      await until(hasHeard, LIMITS.drainLingerMs);
      if (!hasHeard()) throw new PortalError('timeout', `node ${directory.node} has not heard of ${place}`);
      // Arrives after the visits that this node sent before.
      await nodes.call(from, 'passed');
    },
    settled: async (from: string, place: string, epoch: number, ms: number) => {
      await leases.closing.settled(leases.closing.at(place, epoch), ms);
      await nodes.call(from, 'passed');
    },
    passed: () => undefined,
    freePort: (_from: string, place: string, epoch: number) =>
      until(() => (leases.own(place)?.record.epoch ?? epoch) >= epoch, FREE_MS),
  });
}

/** Tells the other nodes that a session of this node ended. */
export function announceEnd(nodes: Nodes, session: string): void {
  for (const node of nodes.others) nodes.tell(node, 'ended', session);
}
