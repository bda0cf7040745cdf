import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { SingleConnection } from '../data/data-connection.js';
import { LIMITS, START_BYTE } from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import { FakeSocket } from '../../../test/support/fake-socket.js';
import { Descriptors } from '../protection/descriptors.js';
import type { LeaseRecord } from '../directory/record.js';
import { newLease, type LeaseHolder, type LocalLease } from '../leases/lease.js';
import type { RelayLimits } from '../limits.js';
import type { ForwardedVisitor } from '../nodes/links.js';
import { Quotas } from '../protection/quotas.js';
import { ALERTS } from './refuse.js';
import { Tallies } from '../tallies.js';
import { VisitorGate } from './visitors.js';
import { silent } from '../../lib/logger.js';

const HEAD = Buffer.from('a ClientHello');

/** A gate, and a lease whose session serves nobody until the test joins them. */
function gate(over: Partial<RelayLimits> = {}, record: Partial<LeaseRecord> = {}, node?: string) {
  const limits = { ...LIMITS, ...over };
  const [quotas, tallies] = [new Quotas(limits), new Tallies()];
  const descriptors = new Descriptors(undefined, silent);
  const made = new VisitorGate(limits, { quotas, tallies, descriptors, node });
  const holder = { serve: vi.fn<LeaseHolder['serve']>(), gaveUp: vi.fn<LeaseHolder['gaveUp']>() };
  const lease = newLease({
    record: { kind: 'tls', owner: '0xA', carrier: 'raw', ...record } as LeaseRecord,
    rate: undefined,
    holder: holder as unknown as LeaseHolder,
  });
  onTestFinished(async () => {
    lease.waiting.clear('lease_ended');
    made.closeOf('0xA');
    await made.drain({ ms: 0 });
  });
  return {
    gate: made,
    lease,
    holder,
    quotas,
    tallies,
    visit: (address = '192.0.2.1', alpn: readonly string[] = []): FakeSocket => {
      const socket = new FakeSocket(address);
      if (lease.record.kind === 'tls') made.admit(lease, socket.asSocket, { alpn }, HEAD);
      else made.admitToPort(lease, socket.asSocket);
      return socket;
    },
    join: (carrier: WireCarrier = 'raw', mayBeDead = false): FakeSocket => {
      const data = new FakeSocket('198.51.100.1');
      // As the pool leaves it.
      data.pause();
      made.join(lease.waiting.first(carrier)!, new SingleConnection(data.asSocket), { mayBeDead });
      return data;
    },
  };
}

describe('a visitor', () => {
  it('waits in the queue of its lease, and gets a data connection with everything it sent', async () => {
    const { gate: made, lease, holder, tallies, visit, join } = gate();
    const visitor = visit();
    expect(holder.serve).toHaveBeenCalledExactlyOnceWith(lease);
    expect([made.waiting, made.size]).toEqual([1, 0]);
    visitor.receive(' and more');
    await expect.poll(() => visitor.readableFlowing).toBe(true);
    await new Promise(setImmediate);
    const data = join();
    expect(data.sent).toEqual(Buffer.concat([Buffer.from([START_BYTE]), HEAD, Buffer.from(' and more')]));
    data.receive('a response');
    visitor.receive(', later');
    await expect
      .poll(() => [visitor.sent.toString(), data.sent.toString().slice(-7)])
      .toEqual(['a response', ', later']);
    expect([made.waiting, made.size, tallies.visitorsServed.get('tls')]).toEqual([0, 1, 1]);
    expect(lease.traffic.read().visitors).toBe(1);
  });

  it('waits without an agent until one returns', () => {
    const { lease, holder, gate: made, visit } = gate();
    lease.holder = undefined;
    visit();
    expect([made.waiting, lease.waiting.size, holder.serve.mock.calls.length]).toEqual([1, 1, 0]);
  });

  it('that disconnects leaves the queue', async () => {
    const { gate: made, lease, tallies, visit } = gate();
    visit().destroy();
    await expect.poll(() => made.waiting).toBe(0);
    expect([lease.waiting.size, tallies.visitorsUnserved.get('disconnected')]).toEqual([0, 1]);
  });

  it('that waited too long gets an alert, and its agent hears of it', async () => {
    const { lease, holder, tallies, visit } = gate({ visitorWaitMs: 1 });
    const visitor = visit();
    await expect.poll(() => visitor.sent).toEqual(ALERTS.unavailable);
    expect(tallies.visitorsUnserved.get('timed_out')).toBe(1);
    expect(holder.gaveUp).toHaveBeenCalledExactlyOnceWith(lease);
    expect(lease.unserved.take()).toEqual([['timed_out', 1]]);
  });

  it('of a hostname may send only so much while it waits', async () => {
    const { lease, tallies, visit } = gate();
    const visitor = visit();
    visitor.receive(Buffer.alloc(LIMITS.maxWaitingBytes + 1));
    await expect.poll(() => tallies.visitorsUnserved.get('too_many_bytes')).toBe(1);
    expect(lease.waiting.size).toBe(0);
  });

  it('gets an alert when the lease ends, or a reset on a port', async () => {
    const [tls, tcp] = [gate(), gate({}, { kind: 'tcp' })];
    const [alerted, reset] = [tls.visit(), tcp.visit()];
    for (const { lease } of [tls, tcp]) lease.waiting.clear('lease_ended');
    await expect.poll(() => alerted.sent).toEqual(ALERTS.unrecognizedName);
    expect([reset.wasReset, reset.sent.length]).toEqual([true, 0]);
  });

  it('with a certificate challenge does not use the raw carrier', () => {
    const { lease, visit } = gate();
    visit('192.0.2.1', ['acme-tls/1']);
    expect(lease.waiting.carriers).toEqual(['tls']);
  });
});

describe('the queue of a lease', () => {
  it('takes a visitor of another network when it is full', async () => {
    const { lease, holder, quotas, visit } = gate({ maxWaitingVisitorsPerLease: 2 });
    const flood = [visit(), visit()];
    const third = visit();
    expect([lease.waiting.size, quotas.refusals.get('maxWaitingVisitorsPerLease')]).toEqual([2, 1]);
    await expect.poll(() => third.sent).toEqual(ALERTS.unavailable);
    visit('198.51.100.1');
    expect(lease.waiting.size).toBe(2);
    await expect.poll(() => flood.filter(({ sent }) => sent.equals(ALERTS.unavailable)).length).toBe(1);
    expect(quotas.refusals.get('maxWaitingVisitorsPerLease')).toBe(2);
    expect(holder.gaveUp).toHaveBeenCalledTimes(2);
  });

  it('is not longer than the limit of visitors of the identity', () => {
    const { gate: made, lease, visit } = gate({ maxVisitorsPerIdentity: 1 });
    visit();
    visit();
    expect([made.waiting, lease.waiting.size]).toEqual([1, 1]);
    expect(lease.unserved.take()).toEqual([['visitor_limit', 1]]);
  });
});

it('disconnects every visitor of an identity', async () => {
  const { gate: made, visit, join } = gate();
  const visitor = visit();
  const data = join();
  made.closeOf('0xB');
  expect(made.size).toBe(1);
  made.closeOf('0xA');
  await expect.poll(() => [made.size, visitor.destroyed, data.destroyed]).toEqual([0, true, true]);
});

/** A visitor of a lease of another node, whose data connection has its ClientHello and has not responded. */
async function unanswered(over: Partial<RelayLimits> = {}) {
  const made = gate(over, { node: 'n2' }, 'n1');
  const visitor = made.visit();
  const data = made.join();
  expect(data.sent.subarray(1)).toEqual(HEAD);
  expect([made.gate.size, made.gate.waiting, made.lease.waiting.size]).toEqual([1, 0, 0]);
  return { ...made, visitor, data };
}

describe('a visitor of another node, whose connection has not responded', () => {
  it('is joined to it at the first response', async () => {
    const { gate: made, visitor, data, tallies } = await unanswered();
    visitor.receive(' and more');
    await expect.poll(() => data.sent.toString().endsWith(' and more')).toBe(true);
    data.receive('a response');
    await expect.poll(() => visitor.sent.toString()).toBe('a response');
    visitor.receive(', later');
    await expect.poll(() => data.sent.toString().endsWith('more, later')).toBe(true);
    expect([made.size, made.waiting, tallies.visitorsServed.get('tls')]).toEqual([1, 0, 1]);
  });

  it('goes back to the queue when the connection ends, with all its bytes', async () => {
    const { lease, holder, visitor, data, join } = await unanswered();
    visitor.receive(' and more');
    await expect.poll(() => data.sent.toString().endsWith(' and more')).toBe(true);
    data.destroy();
    await expect.poll(() => lease.waiting.size).toBe(1);
    expect(holder.serve).toHaveBeenCalledTimes(2);
    const next = join();
    expect(next.sent.subarray(1).toString()).toBe(`${HEAD.toString()} and more`);
    next.receive('a response');
    await expect.poll(() => visitor.sent.toString()).toBe('a response');
  });

  it('is not served a second time by a connection to another node that opens later', async () => {
    const { gate: made, lease, visit, join } = gate({}, { node: 'n2' }, 'n1');
    const visitor = visit();
    const waiting = lease.waiting.first('raw')!;
    const data = join();
    const destroy = vi.fn<() => void>();
    made.forward(waiting, { start: () => expect.unreachable(), destroy });
    expect(destroy).toHaveBeenCalledOnce();
    data.receive('a response');
    await expect.poll(() => visitor.sent.toString()).toBe('a response');
  });

  it('goes to the queue of the lease that has the name by then', async () => {
    const { gate: made, lease, data } = await unanswered();
    const next = newLease({ record: lease.record, rate: undefined });
    made.onUnanswered(() => next);
    data.destroy();
    await expect.poll(() => next.waiting.size).toBe(1);
  });

  it('gets an alert if no lease has the name by then', async () => {
    const { gate: made, visitor, data, tallies } = await unanswered();
    made.onUnanswered(() => undefined);
    data.destroy();
    await expect.poll(() => visitor.sent).toEqual(ALERTS.unrecognizedName);
    expect([made.waiting, tallies.visitorsUnserved.get('lease_ended')]).toEqual([0, 1]);
  });

  it('gets an alert if there is no response in time, and the connection ends', async () => {
    const { visitor, data, tallies } = await unanswered({ firstResponseMs: 1 });
    await expect.poll(() => visitor.sent).toEqual(ALERTS.unavailable);
    expect([data.destroyed, tallies.visitorsUnserved.get('unanswered')]).toEqual([true, 1]);
  });

  it('counts as a visitor of the lease, and is disconnected with its identity', async () => {
    const { gate: made, lease, visitor, data } = await unanswered();
    expect(lease.traffic.visitors).toBe(1);
    made.closeOf('0xB');
    expect(data.destroyed).toBe(false);
    made.closeOf('0xA');
    await expect.poll(() => visitor.sent).toEqual(ALERTS.unrecognizedName);
    expect([data.destroyed, lease.traffic.visitors]).toEqual([true, 0]);
  });

  it('ends the connection when it disconnects', async () => {
    const { gate: made, visitor, data } = await unanswered();
    visitor.destroy();
    await expect.poll(() => [data.destroyed, made.waiting]).toEqual([true, 0]);
  });
});

/** A visitor whose data connection has its ClientHello and has not responded, with fake timers. */
function returning() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const made = gate();
  const visitor = made.visit();
  const data = made.join('raw', true);
  vi.advanceTimersByTime(10);
  return { ...made, visitor, data };
}

describe('a visitor whose agent returns in another session', () => {
  it('is served again if the connection of the session before does not respond', async () => {
    const { gate: made, lease, visitor, data, join } = returning();
    made.handedOver(lease);
    vi.advanceTimersByTime(2_000);
    expect(data.destroyed).toBe(true);
    const next = join();
    expect(next.sent.subarray(1)).toEqual(HEAD);
    vi.useRealTimers();
    next.receive('a response');
    await expect.poll(() => visitor.sent.toString()).toBe('a response');
    expect([made.size, made.waiting]).toEqual([1, 0]);
  });

  it('stays with that connection if it responds, or if the visitor came later', async () => {
    const { gate: made, lease, visitor, data, visit, join } = returning();
    made.handedOver(lease);
    visit();
    vi.advanceTimersByTime(1);
    const later = join('raw', true);
    data.receive('a response');
    await new Promise(setImmediate);
    vi.advanceTimersByTime(2_000);
    expect([data.destroyed, later.destroyed]).toEqual([false, false]);
    vi.useRealTimers();
    await expect.poll(() => visitor.sent.toString()).toBe('a response');
  });

  it('may end its side before the response', async () => {
    const { gate: made, visit, join } = gate();
    const visitor = visit();
    const data = join('raw', true);
    visitor.push(null);
    await expect.poll(() => data.writableEnded).toBe(true);
    data.receive('a response');
    await expect.poll(() => visitor.sent.toString()).toBe('a response');
    expect(made.size).toBe(1);
  });

  it('is reset if there is no response in time', async () => {
    const { visit, join, tallies } = gate({ firstResponseMs: 1 });
    const visitor = visit();
    const data = join('raw', true);
    await expect.poll(() => [visitor.wasReset, data.wasReset]).toEqual([true, true]);
    expect(tallies.visitorsUnserved.get('unanswered')).toBe(1);
  });

  it('gets the end of a connection that its agent ended', async () => {
    const made = gate();
    const [ended, reset] = [made.visit(), made.visit()];
    made.join('raw', true).push(null);
    made.join('raw', true).destroy();
    await expect.poll(() => [ended.writableEnded, reset.wasReset]).toEqual([true, true]);
    expect(made.lease.waiting.size).toBe(0);
  });

  it('that another node forwards is counted there, not here', () => {
    const { gate: made, lease, join, visit } = gate();
    const remote = { address: '192.0.2.1', port: 1 };
    made.admitForwarded(lease, { carrier: 'raw', remote } as ForwardedVisitor, new FakeSocket().asSocket);
    join('raw', true);
    visit();
    join('raw', true);
    expect([made.attempted, made.attemptedHere, lease.traffic.read().visitors]).toEqual([2, 1, 1]);
  });

  it('is drained with the relay', async () => {
    const { gate: made, visit, join } = gate();
    visit();
    const data = join('raw', true);
    expect([made.attempted, made.size, made.waiting]).toEqual([1, 1, 0]);
    const drained = made.drain({ ms: 60_000 });
    expect([made.attempted, made.size, made.waiting]).toEqual([0, 1, 0]);
    data.destroy();
    await drained;
  });
});

it('serves a visitor of a TCP port once only: the service may have acted on its bytes', async () => {
  const { gate: made, visit, join } = gate({}, { kind: 'tcp', node: 'n2' }, 'n1');
  const visitor = visit();
  const data = join();
  expect(made.size).toBe(1);
  data.destroy();
  await expect.poll(() => visitor.destroyed).toBe(true);
});

it('serves a visitor again whose replica does not respond, while another one does', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const replica = { policy: 'spread', healthy: true } as LeaseRecord['replica'];
  const { gate: made, lease, visit, join } = gate({}, { replica: replica! });
  const other = newLease({ record: lease.record, rate: undefined });
  const stalled = vi.fn<(lease: LocalLease) => void>();
  made.onStalled(stalled);
  made.onUnanswered(() => (stalled.mock.calls.length > 0 ? other : lease));
  visit();
  const data = join();
  vi.advanceTimersByTime(1_100);
  expect([stalled.mock.calls.length, data.destroyed]).toEqual([0, false]);
  vi.advanceTimersByTime(1_100);
  expect([stalled.mock.calls, data.destroyed]).toEqual([[[lease]], true]);
  vi.advanceTimersByTime(100);
  expect(other.waiting.size).toBe(1);
});
