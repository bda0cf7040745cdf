import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { deferred, type Deferred } from '../../lib/wait.js';
import { log } from '../../../test/support/log.js';
import { notThrough, PROBE_MS, timedOut } from './not-through.js';
import { ProbePace } from './probe-pace.js';
import { Prover } from './prover.js';

const timeout = (): Promise<never> =>
  Promise.reject(notThrough('app.example', new PortalError('timeout', 'it took longer')));
const refused = (): Promise<never> =>
  Promise.reject(notThrough('app.example', Object.assign(new Error('no'), { code: 'ECONNREFUSED' })));
const intercepted = (): Promise<never> => Promise.reject(new PortalError('intercepted', 'another answered'));
const through = (): Promise<void> => Promise.resolve();

function prover() {
  const onChange = vi.fn<() => void>();
  const onLost = vi.fn<(failure: PortalError) => void>();
  const one = new Prover(
    { relay: 'https://r', pace: new ProbePace(), everyMs: 300_000, onChange, onLost },
    log,
  );
  onTestFinished(() => one.stop());
  return { one, onChange, onLost, signal: new AbortController().signal };
}

describe('Prover', () => {
  it('leaves a lease unproven if its first visit times out', async () => {
    const { one } = prover();
    await one.first(timeout);
    expect(one.proof.provenAt).toBeUndefined();
    expect(one.proof.unproven).toMatchObject({
      failures: 1,
      reason: expect.stringContaining('longer') as string,
    });
  });

  it.each([
    ['refused', refused, 'not_through'],
    ['intercepted', intercepted, 'intercepted'],
  ])('keeps a lease from being ready if its first visit is %s', async (_what, visit, code) => {
    await expect(prover().one.first(visit)).rejects.toMatchObject({ code });
  });

  it('reports once that an unproven lease becomes proven', async () => {
    const { one, onChange, signal } = prover();
    await one.first(timeout);
    await one.again(through, signal);
    expect(one.proof.unproven).toBeUndefined();
    expect(one.proof.provenAt).toBeInstanceOf(Date);
    await one.again(through, signal);
    expect(onChange).toHaveBeenCalledTimes(1);
  });

  it('makes a second visit before it reports a proven lease as unproven', async () => {
    const { one, onChange, onLost, signal } = prover();
    await one.first(through);
    const visit = vi
      .fn<() => Promise<void>>()
      .mockImplementationOnce(timeout)
      .mockImplementationOnce(through);
    await one.again(visit, signal);
    expect(visit).toHaveBeenCalledTimes(2);
    expect(onChange).not.toHaveBeenCalled();
    await one.again(timeout, signal);
    expect(onChange).toHaveBeenCalledTimes(1);
    expect(onLost).not.toHaveBeenCalled();
    expect(one.proof.unproven?.failures).toBe(1);
  });

  it('joins a visit in progress', async () => {
    const { one, signal } = prover();
    await one.first(through);
    const open = deferred<void>();
    const visit = vi.fn<() => Promise<void>>(() => open.promise);
    const both = [one.again(visit, signal), one.again(visit, signal)];
    await vi.waitFor(() => expect(visit).toHaveBeenCalled());
    open.resolve();
    await Promise.all(both);
    expect(visit).toHaveBeenCalledTimes(1);
    await one.again(visit, signal);
    expect(visit).toHaveBeenCalledTimes(2);
  });

  it('reports again at the third consecutive timeout, and not after that', async () => {
    const { one, onChange, signal } = prover();
    await one.first(timeout);
    for (let visit = 2; visit < 6; visit++) await one.again(timeout, signal);
    expect(one.proof.unproven?.failures).toBe(5);
    expect(onChange).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['refused', refused, 'not_through'],
    ['intercepted', intercepted, 'intercepted'],
  ])('gives up a lease whose visit is %s, proven or not', async (_what, visit, code) => {
    const { one, onLost, signal } = prover();
    await one.first(timeout);
    await one.again(visit, signal);
    expect(onLost).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code }));
  });

  it('visits an unproven lease sooner than a proven one, with increasing delays', () => {
    const { one } = prover();
    const failure = notThrough('app.example', new PortalError('timeout', 'it took longer'));
    const pauses = [1, 2, 3, 8, 20].map((failures) => {
      while ((one.proof.unproven?.failures ?? 0) < failures) one.proof.timedOut(failure);
      return one.proof.pauseMs(300_000);
    });
    const [first, second, third, eighth, twentieth] = pauses as [number, number, number, number, number];
    expect(first).toBeLessThanOrEqual(1_500);
    expect(second).toBeLessThanOrEqual(3_000);
    expect(third).toBeLessThanOrEqual(6_000);
    for (const late of [eighth, twentieth]) {
      expect(late).toBeGreaterThanOrEqual(30_000);
      expect(late).toBeLessThanOrEqual(90_000);
    }
  });
});

describe('the reason of a failed visit', () => {
  it('is a timeout if the relay ended the visit after its own timeout', () => {
    const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    expect(timedOut(notThrough('app.example', reset, PROBE_MS))).toBe(true);
    expect(timedOut(notThrough('app.example', reset, PROBE_MS - 1))).toBe(false);
  });

  it('is not a timeout if the visit was intercepted', () => {
    expect(
      timedOut(new PortalError('intercepted', 'no', { cause: new PortalError('timeout', 'late') })),
    ).toBe(false);
  });
});

function visits(pace: ProbePace, relays: readonly string[]) {
  const open: Deferred<void>[] = [];
  const visit = (): Promise<void> => {
    const one = deferred<void>();
    open.push(one);
    return one.promise;
  };
  const done = relays.map((relay) => pace.run(relay, visit).catch(() => undefined));
  return { open, done };
}
const settled = (): Promise<void> => new Promise(setImmediate);

describe('ProbePace', () => {
  it('limits visits in progress to 24 per relay, and 32 in total', async () => {
    const one = visits(new ProbePace(), Array<string>(100).fill('a'));
    await settled();
    expect(one.open).toHaveLength(24);
    const two = visits(new ProbePace(), [...Array<string>(50).fill('a'), ...Array<string>(50).fill('b')]);
    await settled();
    expect(two.open).toHaveLength(32);
  });

  it('lowers the limit after timeouts, never to zero, and raises it after successful visits', async () => {
    const pace = new ProbePace();
    for (let visit = 0; visit < 10; visit++) await pace.run('a', timeout).catch(() => undefined);
    expect(pace.limitFor('a')).toBe(2);
    expect(pace.limitFor('b')).toBe(24);
    await pace.run('a', refused).catch(() => undefined);
    expect(pace.limitFor('a')).toBe(2);
    for (let visit = 0; visit < 100; visit++) await pace.run('a', through);
    expect(pace.limitFor('a')).toBe(24);
  });
});
