import { expect, it, onTestFinished } from 'vitest';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { PortalError } from '../../lib/errors.js';
import type { FromRelay } from '../../protocol/messages.js';
import { nameOf, secretOf } from '../../protocol/ticket.js';
import type { LeaseRecord } from '../directory/record.js';
import { newLease } from '../lease.js';
import { shownAs } from '../shown-ticket.js';
import { Tallies } from '../tallies.js';
import { TicketBook } from '../tickets.js';
import { Visitor } from '../visitors.js';
import type { Links } from './links.js';
import { ALONE } from './nodes.js';
import { RemoteSessions } from './remote-sessions.js';

/** A session at node b whose data connections all arrive at other nodes, and one visitor that waits here. */
function starving(connect: Links['connect']) {
  const [tickets, tallies] = [new TicketBook(10_000), new Tallies()];
  const issued: string[] = [];
  const remote = new RemoteSessions({
    nodes: {
      ...ALONE,
      others: ['b'],
      tell: (_node, _method, _session, message) => {
        const { tickets: more } = message as FromRelay<'dial'>;
        issued.push(...more.map(({ ticket }) => ticket));
      },
    },
    tickets,
    tallies,
    gate: { join: () => undefined, forward: () => undefined },
    idleDataConnectionMs: 10_000,
    links: { connect, accept: () => undefined, close: () => undefined },
  });
  onTestFinished(() => {
    remote.close();
    tickets.close();
  });
  const record = { place: 'web.relay.test', epoch: 7, carrier: 'raw', kind: 'tls' } as LeaseRecord;
  const lease = newLease({ record, rate: undefined });
  const visitor = new Visitor(lease, 'raw', new FakeSocket().asSocket);
  lease.waiting.add(visitor, 10);
  remote.of({ node: 'b', session: 's' })!.serve(lease);
  const miss = async (): Promise<void> => {
    await expect.poll(() => issued.length).toBeGreaterThan(0);
    const ticket = issued.shift()!;
    const plain = { name: nameOf(ticket), proof: secretOf(ticket), channel: 'none' } as const;
    expect(tickets.redeemFor(shownAs(plain), 'raw')).toBeDefined();
  };
  return { tallies, visitor, miss, remote };
}

it.each([
  ['not_found', 'rejected'],
  ['relay_busy', 'unreachable'],
] as const)('counts a forward that fails with %s as %s, and tries again', async (code, reason) => {
  const asked: unknown[] = [];
  const { tallies, visitor, miss } = starving(async (node, { place, epoch }) => {
    asked.push([node, place, epoch]);
    throw new PortalError(code, 'no');
  });
  for (let missed = 0; missed < 3; missed++) await miss();
  await expect.poll(() => tallies.forwardsFailed.counts()).toEqual({ [reason]: 1 });
  expect(visitor.forwarding).toBe(false);
  await miss();
  await expect.poll(() => tallies.forwardsFailed.get(reason)).toBe(2);
  expect(asked).toEqual(Array.from({ length: 2 }, () => ['b', 'web.relay.test', 7]));
});

it('serves no visitors for a session whose end was reported, though the directory or a ticket still names it', () => {
  const { remote } = starving(() => Promise.reject(new PortalError('not_found', 'no')));
  const session = { node: 'b', session: 's' };
  expect(remote.of(session)).toBeDefined();
  remote.end('s');
  expect(remote.of(session)).toBeUndefined();
  expect(remote.of({ node: 'b', session: 't' })).toBeDefined();
});

it('forwards visitors at once when data connections arrive at other nodes only', async () => {
  const asked: string[] = [];
  const { remote, visitor } = starving(async (node) => {
    asked.push(node);
    throw new PortalError('not_found', 'no');
  });
  expect(asked).toEqual([]);
  remote.forwardOnly();
  remote.of({ node: 'b', session: 's' })!.serve(visitor.lease);
  expect(asked).toEqual(['b']);
});
