import { PassThrough } from 'node:stream';
import type { Socket } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { FromRelay } from '../../protocol/messages.js';
import { nameOf, secretOf } from '../../protocol/ticket.js';
import { DataPool } from './data.js';
import { SingleConnection } from './data-connection.js';
import type { LocalLease } from '../leases/lease.js';
import { shownAs } from '../tickets/shown-ticket.js';
import { DataTickets } from '../tickets/data-tickets.js';
import { VisitorQueue } from '../visitors/visitor-queue.js';
import type { Visitor } from '../visitors/visitor.js';

/** A pool whose visitors only wait, and what it requested from its agent. */
function pool() {
  const asked: FromRelay<'dial'>[] = [];
  const tickets = new DataTickets(30_000);
  let forwarded = 0;
  const starved: number[] = [];
  const mayBeDead: boolean[] = [];
  const made = new DataPool({
    session: { node: 'a', session: 's1' },
    tickets,
    gate: {
      join: (visitor, _data, how) => {
        mayBeDead.push(how?.mayBeDead ?? false);
        visitor.lease.waiting.delete(visitor);
      },
    },
    send: (message) => void (message.type === 'dial' && asked.push(message)),
    idleDataConnectionMs: 60_000,
    silentDataMs: 250,
    onStarved: ({ waiting }) => {
      starved.push(waiting.size);
      for (const visitor of waiting.all()) {
        waiting.delete(visitor);
        forwarded++;
      }
    },
  });
  onTestFinished(() => {
    made.close();
    tickets.close();
  });
  let arrived = 0;
  const lease = { record: { id: 'web' }, waiting: new VisitorQueue<Visitor>() } as unknown as LocalLease;
  return {
    /** Visitors of one turn that find no idle connection. */
    visit: async (many = 1): Promise<void> => {
      for (let visitor = 0; visitor < many; visitor++) {
        const waiting = { lease, carrier: 'raw', network: '192.0.2.1', remote: {} };
        lease.waiting.add(waiting as unknown as Visitor, 1_024);
        made.serve(lease);
      }
      await new Promise(setImmediate);
    },
    /** Lets all requested connections arrive. Returns how many stay idle. */
    arriveAll: (): number => {
      const waiting = lease.waiting.count('raw');
      const due = asked.flatMap((dial) => dial.tickets).slice(arrived);
      for (const { ticket } of due) {
        const { connection } = tickets.redeem(
          shownAs({ name: nameOf(ticket), proof: secretOf(ticket), channel: 'none' }),
          'raw',
        )!;
        made.accept(connection, 'raw', new SingleConnection(new PassThrough() as unknown as Socket));
      }
      arrived += due.length;
      return due.length - waiting;
    },
    /** Lets all requested connections arrive at another node. */
    missAll: async (): Promise<void> => {
      while (arrived < asked.flatMap((dial) => dial.tickets).length) {
        const due = asked.flatMap((dial) => dial.tickets).slice(arrived);
        for (const { ticket } of due) {
          tickets.redeem(shownAs({ name: nameOf(ticket), proof: secretOf(ticket), channel: 'none' }), 'raw');
          made.missed(ticket, 'raw', 'b');
        }
        arrived += due.length;
        await new Promise(setImmediate);
      }
    },
    /** Of each visitor with a connection. */
    mayBeDead,
    forwarded: () => forwarded,
    /** For how many visitors each call of `onStarved` was. */
    starved,
    /** A connection with a ticket of another node arrives. Returns whether the pool keeps it. */
    stray: (): boolean => {
      const socket = new PassThrough();
      made.acceptStray('c', 'raw', new SingleConnection(socket as unknown as Socket));
      return !socket.destroyed;
    },
    messages: () => asked.length,
    count: () => asked.reduce((sum, dial) => sum + dial.tickets.length, 0),
  };
}
it('requests one connection for each visitor that waits for a returning agent, and few more', async () => {
  const { visit, count } = pool();
  for (let index = 0; index < 40; index++) await visit();
  expect(count()).toBeGreaterThanOrEqual(40);
  expect(count()).toBeLessThanOrEqual(44);
});

it('distrusts idle connections once the agent has opened none for a while', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { visit, arriveAll, mayBeDead } = pool();
  await visit();
  expect(arriveAll()).toBeGreaterThan(1);
  await visit();
  vi.advanceTimersByTime(300);
  await visit();
  arriveAll();
  await visit();
  expect(mayBeDead).toEqual([false, false, true, false]);
});

it('doubles the idle pool when visitors find no connection although all requested ones arrived', async () => {
  const { visit, arriveAll, count } = pool();
  await visit();
  const kept: number[] = [];
  for (let round = 0; round < 6; round++) {
    const ready = arriveAll();
    kept.push(ready);
    // Each visitor takes one, and the last finds none.
    for (let index = 0; index <= ready; index++) await visit();
  }
  expect(kept).toEqual([4, 8, 16, 32, 64, 64]);
  expect(count()).toBeLessThan(1_000);
});

it('requests connections for the visitors of one turn in as few messages as possible', async () => {
  const { visit, messages, count } = pool();
  await visit(600);
  expect(messages()).toBe(3);
  expect(count()).toBeGreaterThanOrEqual(600);
});

it('keeps connections with tickets of other nodes instead of requesting some, up to a limit', async () => {
  const { visit, stray, count } = pool();
  expect(Array.from({ length: 8 }, stray)).toEqual([true, true, true, true, true, true, false, false]);
  for (let index = 0; index < 4; index++) await visit();
  expect(count()).toBe(0);
  await visit();
  expect(count()).toBe(1);
});

it('refills a large pool with few messages, and a small one at once', async () => {
  const { visit, arriveAll, messages, count } = pool();
  await visit();
  for (let size = 4; size <= 64; size *= 2) {
    const ready = arriveAll();
    for (let index = 0; index <= ready; index++) await visit();
  }
  arriveAll();
  const [before, requested] = [messages(), count()];
  for (let index = 0; index < 32; index++) await visit();
  expect(messages() - before).toBe(4);
  expect(count() - requested).toBe(32);
});

it('forwards visitors at once when all connections arrive at other nodes, and requests one for each', async () => {
  const { visit, missAll, arriveAll, forwarded, count } = pool();
  for (let visitor = 0; visitor < 8; visitor++) {
    await visit();
    await missAll();
  }
  const [before, counted] = [forwarded(), count()];
  for (let visitor = 0; visitor < 50; visitor++) {
    await visit();
    // No connection has arrived anywhere yet.
    expect(forwarded()).toBe(before + visitor + 1);
    await missAll();
  }
  expect(count() - counted).toBeLessThanOrEqual(50);
  // One that arrives here ends that.
  await visit();
  arriveAll();
  await visit(4);
  expect(forwarded()).toBe(before + 51);
});

it('forwards nobody while no visitor waits', async () => {
  const { visit, missAll, starved } = pool();
  for (let visitor = 0; visitor < 8; visitor++) {
    await visit();
    await missAll();
  }
  expect(starved.length).toBeGreaterThan(0);
  expect(starved).not.toContain(0);
});
