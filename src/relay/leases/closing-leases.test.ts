import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../../lib/wait.js';
import type { LeaseRecord } from '../directory/record.js';
import { ClosingLeases } from './closing-leases.js';
import { newLease, type LeaseHolder, type LocalLease } from './lease.js';

beforeEach(
  () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }),
);
afterEach(() => void vi.useRealTimers());

const AT = 'web.relay.test';

/** A relay on which agents close leases. `state` says what is on its way. */
function relay() {
  const state = {
    now: 1_000,
    /** When the oldest connection without a ClientHello arrived. */
    oldest: undefined as number | undefined,
    isSettled: false,
    accepted: () => {},
  };
  const closing = new ClosingLeases({ isSettled: () => state.isSettled });
  closing.watch({
    accept: () => new Promise((resolve) => (state.accepted = resolve)),
    oldest: () => state.oldest,
    now: () => state.now,
  });
  return { state, closing };
}

const holderNamed = (id: string) => ({ id, serve: () => undefined }) as unknown as LeaseHolder;

function lease(over: Partial<LeaseRecord> = {}): LocalLease {
  const record = { place: AT, kind: 'tls', epoch: 1, ...over } as LeaseRecord;
  return newLease({ record, rate: undefined });
}

/** Whether `promise` has settled, after 50 ms. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  void promise.then(() => (isSettled = true));
  await vi.advanceTimersByTimeAsync(50);
  return isSettled;
}

describe('a lease that its agent closed', () => {
  it('ends once its port has accepted, and no visitor from before waits', async () => {
    const { state, closing } = relay();
    const [one, holder] = [lease(), holderNamed('s1')];
    closing.add(one, holder);
    const settled = closing.settled(one, 60_000);
    expect(closing.find(AT, 900)).toBe(one);
    state.isSettled = true;
    expect(await isDone(settled)).toBe(false);
    state.oldest = 990;
    state.accepted();
    expect(await isDone(settled)).toBe(false);
    state.oldest = undefined;
    expect(await isDone(settled)).toBe(true);
    expect([closing.has(one), one.holder, closing.find(AT, 900)]).toEqual([false, undefined, undefined]);
  });

  it('gets no visitor who arrived after its port had accepted all', async () => {
    const { state, closing } = relay();
    const one = lease();
    closing.add(one, holderNamed('s1'));
    state.accepted();
    await vi.advanceTimersByTimeAsync(10);
    expect(closing.find(AT, 1_000)).toBe(one);
    expect(closing.find(AT, 1_001)).toBeUndefined();
    expect(closing.find('other.relay.test', 900)).toBeUndefined();
    // Nor does one who arrived later keep it.
    state.oldest = 1_001;
    state.isSettled = true;
    expect(await isDone(closing.settled(one, 60_000))).toBe(true);
  });

  it('of a public port waits for that port, and not for connections to the main port', async () => {
    const { state, closing } = relay();
    const one = lease({ kind: 'tcp', place: `tcp ${AT}` });
    const accepted = deferred<void>();
    closing.add(one, holderNamed('s1'), accepted.promise);
    state.isSettled = true;
    state.oldest = 1;
    const settled = closing.settled(one, 60_000);
    expect(await isDone(settled)).toBe(false);
    accepted.resolve();
    expect(await isDone(settled)).toBe(true);
  });

  it('rejects the visitors who still wait when its time is up, or its session ends', async () => {
    const { closing } = relay();
    const [late, lost] = [lease(), lease({ place: 'api.relay.test' })];
    const [first, second] = [holderNamed('s1'), holderNamed('s2')];
    const cleared = [late, lost].map(({ waiting }) => vi.spyOn(waiting, 'clear'));
    closing.add(late, first);
    closing.add(lost, second);
    const settled = closing.settled(late, 1_000);
    await vi.advanceTimersByTimeAsync(999);
    expect(cleared[0]).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await settled;
    expect(cleared[0]).toHaveBeenCalledExactlyOnceWith('lease_ended');
    closing.lost(first);
    expect(cleared[1]).not.toHaveBeenCalled();
    closing.lost(second);
    expect(cleared[1]).toHaveBeenCalledExactlyOnceWith('lease_ended');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not wait without visitors, or if it is not here', async () => {
    const { closing } = relay();
    await closing.settled(undefined, 60_000);
    await closing.settled(lease(), 60_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is found by place and epoch for the visitors of another node, and the last one of a name for others', () => {
    const { closing } = relay();
    const [former, later] = [lease(), lease({ epoch: 2 })];
    closing.add(former, holderNamed('s1'));
    closing.add(later, holderNamed('s1'));
    expect([closing.at(AT, 1), closing.at(AT, 2), closing.at(AT, 3)]).toEqual([former, later, undefined]);
    expect(closing.find(AT)).toBe(later);
  });

  it('times its visitors out when the relay shuts down', () => {
    const { closing } = relay();
    const one = lease();
    const cleared = vi.spyOn(one.waiting, 'clear');
    closing.add(one, holderNamed('s1'));
    closing.clear();
    expect(cleared.mock.calls).toEqual([['timed_out'], ['lease_ended']]);
    expect(closing.has(one)).toBe(false);
  });
});
