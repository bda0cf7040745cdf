import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { PortalError } from '../../lib/errors.js';
import { deferred, delay } from '../../lib/wait.js';
import type { FromRelay } from '../../protocol/messages.js';
import { nameOf, secretOf } from '../../protocol/ticket.js';
import type { LeaseRecord } from '../directory/record.js';
import { newLease } from '../leases/lease.js';
import { shownAs } from '../tickets/shown-ticket.js';
import { Tallies } from '../tallies.js';
import { DataTickets } from '../tickets/data-tickets.js';
import { Visitor } from '../visitors/visitor.js';
import { Forwarding } from './forwarding.js';
import type { Links } from './links.js';
import { ALONE } from './nodes.js';
import { RemoteSessions } from './remote-sessions.js';

/** A session at node b whose data connections all arrive at other nodes, and one visitor that waits here. */
function starving(connect: Links['connect']) {
  const [tickets, tallies] = [new DataTickets(10_000), new Tallies()];
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
    gate: { join: () => undefined },
    idleDataConnectionMs: 10_000,
    silentDataMs: 250,
    freePortMs: 5_000,
    forwarding: new Forwarding({
      links: { connect, accept: () => undefined, close: () => undefined },
      gate: { forward: () => undefined },
      tallies,
    }),
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
  const miss = async (node = 'b'): Promise<void> => {
    await expect.poll(() => issued.length).toBeGreaterThan(0);
    const ticket = issued.shift()!;
    const plain = { name: nameOf(ticket), proof: secretOf(ticket), channel: 'none' } as const;
    expect(tickets.redeemFor(node, shownAs(plain), 'raw')).toBeDefined();
  };
  return { tallies, visitor, miss, remote };
}

it.each([
  ['not_found', 'rejected'],
  ['relay_busy', 'unreachable'],
] as const)('counts a forward that fails with %s as %s, and tries again', async (code, reason) => {
  const asked: unknown[][] = [];
  const { tallies, visitor, miss } = starving(async (node, forwarded) => {
    asked.push([node, forwarded]);
    throw new PortalError(code, 'no');
  });
  for (let missed = 0; missed < 3; missed++) await miss();
  await expect.poll(() => tallies.forwardsFailed.counts()).toEqual({ [reason]: 1 });
  expect(visitor.forwarding).toBe(false);
  await miss();
  await expect.poll(() => tallies.forwardsFailed.get(reason)).toBe(2);
  expect(asked).toMatchObject(
    Array.from({ length: 2 }, () => ['b', { visitor: { place: 'web.relay.test', epoch: 7 } }]),
  );
});

it('forwards to the node where data connections arrive, and to the node with the session if that node takes none', async () => {
  const asked: string[] = [];
  const { miss } = starving(async (node) => {
    asked.push(node);
    throw new PortalError('not_found', 'no');
  });
  for (const node of ['b', 'b', 'c']) await miss(node);
  await expect.poll(() => asked).toEqual(['c', 'b']);
});

it('serves no visitors for a session whose end was reported, though the directory or a ticket still names it', () => {
  const { remote } = starving(() => Promise.reject(new PortalError('not_found', 'no')));
  const session = { node: 'b', session: 's' };
  expect(remote.of(session)).toBeDefined();
  remote.end('s');
  expect(remote.of(session)).toBeUndefined();
  expect(remote.of({ node: 'b', session: 't' })).toBeDefined();
});

/** A node with two others, which are asked what they heard. */
function asking(heard: (node: string, method: string) => Promise<unknown>) {
  const others = ['b', 'c'];
  const asked: unknown[][] = [];
  const tickets = new DataTickets(10_000);
  onTestFinished(() => tickets.close());
  const remote = new RemoteSessions({
    nodes: {
      ...ALONE,
      others,
      call: (node, method, ...args) => {
        asked.push([node, method, ...args]);
        return heard(node, method);
      },
    },
    tickets,
    gate: { join: () => undefined },
    idleDataConnectionMs: 10_000,
    silentDataMs: 250,
    freePortMs: 5_000,
    forwarding: undefined,
  });
  return { remote, asked, others };
}

describe('a lease that this node no longer has', () => {
  const record = { place: 'web.relay.test', epoch: 7 };
  it('gets no more visits once every other node has heard that', async () => {
    const pending = deferred<void>();
    const { remote, asked } = asking((node) => (node === 'b' ? pending.promise : Promise.resolve()));
    let isDone = false;
    const done = remote.noMoreVisits(record, 60_000).then(() => (isDone = true));
    await new Promise(setImmediate);
    expect(asked).toEqual(['b', 'c'].map((node) => [node, 'heard', 'web.relay.test', 7]));
    expect(isDone).toBe(false);
    pending.resolve();
    await done;
  });

  it('lets visitors at each node that responds wait for their data connections', async () => {
    const settled = deferred<void>();
    const { remote, asked } = asking((_node, method) =>
      method === 'settled' ? settled.promise : Promise.resolve(),
    );
    let isDone = false;
    const done = remote.noMoreVisits(record, 60_000, 5_000).then(() => (isDone = true));
    await expect
      .poll(() => asked.filter(([, method]) => method === 'settled'))
      .toEqual(['b', 'c'].map((node) => [node, 'settled', 'web.relay.test', 7, 5_000]));
    expect(isDone).toBe(false);
    settled.resolve();
    await done;
  });

  it('waits no longer for a node that left', async () => {
    const { remote, others } = asking(async (node) => {
      if (node !== 'b') return;
      others.shift();
      throw new PortalError('relay_busy', 'it left');
    });
    await expect(remote.noMoreVisits(record, 60_000)).resolves.toBeUndefined();
  });

  it.each([
    ['does not respond', () => new Promise<never>(() => undefined)],
    ['fails, as one of an earlier version', () => Promise.reject(new Error('no such method: heard'))],
  ])('waits for the full time if a node %s', async (_what, heard) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] });
    onTestFinished(() => void vi.useRealTimers());
    const { remote } = asking(heard);
    let isDone = false;
    const done = remote.noMoreVisits(record, 1_000).then(() => (isDone = true));
    await vi.advanceTimersByTimeAsync(990);
    expect(isDone).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    await done;
  });

  it('waits for nothing more once its time has ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] });
    onTestFinished(() => void vi.useRealTimers());
    const { remote } = asking(async (node) => {
      await delay(node === 'b' ? 900 : 0);
      throw new Error('no such method: heard');
    });
    const done = remote.noMoreVisits(record, 1_000);
    await vi.advanceTimersByTimeAsync(1_500);
    await done;
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('forwards visitors at once when data connections arrive at other nodes only, until another node takes them', async () => {
  const asked: string[] = [];
  const { remote, visitor } = starving(async (node) => {
    asked.push(node);
    throw new PortalError('not_found', 'no');
  });
  expect(asked).toEqual([]);
  remote.forwardOnly();
  const holder = remote.of({ node: 'b', session: 's' })!;
  visitor.wait(60_000, () => undefined);
  holder.serve(visitor.lease);
  expect(asked).toEqual(['b']);
  // Nothing serves it while no node has its lease.
  visitor.lease.holder = holder;
  await expect.poll(() => asked.length).toBeGreaterThan(2);
  visitor.giveUp('lease_ended');
});

it('sets one timer for all visitors of a lease that no node takes', async () => {
  const { remote, visitor } = starving(() => Promise.reject(new PortalError('not_found', 'no')));
  const { lease } = visitor;
  for (let other = 0; other < 20; other++)
    lease.waiting.add(new Visitor(lease, 'raw', new FakeSocket().asSocket), 100);
  remote.forwardOnly();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  remote.of({ node: 'b', session: 's' })!.serve(lease);
  await new Promise(setImmediate);
  expect(vi.getTimerCount()).toBe(1);
});
