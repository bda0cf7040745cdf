import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ServiceSpec } from '../../agent/spec.js';
import { deferred } from '../../lib/wait.js';
import { parseTarget } from '../../net/target/target.js';
import { TargetWatch, type Verdict } from './targets.js';

const spec = (service: string, target: number, over: Partial<ServiceSpec> = {}): ServiceSpec =>
  ({ service, mode: 'stream', target: parseTarget(target), routes: [], ...over }) as unknown as ServiceSpec;

function watch({ isUnnoticed = false } = {}) {
  const told: Verdict[] = [];
  const asked: number[] = [];
  /** Ports without a listener. */
  const dead = new Set<number>();
  /** Ports that no check can verify. */
  const silent = new Set<number>();
  /** Services whose program has just started. */
  const starting = new Set<string>();
  const targets = new TargetWatch((verdict) => told.push(verdict), {
    check: async (_, target) => {
      const { port } = target as { port: number };
      asked.push(port);
      if (silent.has(port)) return 'unknown';
      const found = { error: dead.has(port) ? `nothing on ${port}` : undefined };
      return isUnnoticed ? { ...found, isUnnoticed } : found;
    },
    isStarting: (service) => starting.has(service),
  });
  return { targets, told, asked, dead, silent, starting };
}

const up = (service: string, port: number): Verdict => ({
  service,
  target: `localhost:${port}`,
  error: undefined,
});
const down = (service: string, port: number): Verdict => ({
  ...up(service, port),
  error: `nothing on ${port}`,
});

describe('targets', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are checked at the start, and soon again while they are down', async () => {
    const { targets, told, asked, dead } = watch();
    dead.add(2);
    targets.follow([spec('a', 1), spec('b', 2)]);
    await targets.known();
    expect(told).toEqual([up('a', 1), down('b', 2)]);
    expect([targets.errorOf('a'), targets.errorOf('b')]).toEqual([undefined, 'nothing on 2']);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(14_000);
    expect(new Set(asked)).toEqual(new Set([2]));
    expect(asked.length).toBeGreaterThanOrEqual(4);
    expect(told).toHaveLength(2);
    dead.clear();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told.slice(2)).toEqual([up('b', 2)]);
    targets.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('whose program starts are not reported as down, and `known` waits for them', async () => {
    const { targets, told, dead, starting } = watch();
    dead.add(1);
    starting.add('a');
    targets.follow([spec('a', 1)]);
    const known = vi.fn<() => void>();
    void targets.known().then(known);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(known).not.toHaveBeenCalled();
    expect([told, targets.isUp('a'), targets.errorOf('a')]).toEqual([
      [],
      false,
      'localhost:1 does not respond yet: its command starts',
    ]);
    dead.clear();
    await vi.advanceTimersByTimeAsync(200);
    expect([told, targets.isUp('a')]).toEqual([[up('a', 1)], true]);
    expect(known).toHaveBeenCalledOnce();
    targets.close();
  });

  it('whose program did not listen in time, or ended, are reported as down', async () => {
    const { targets, told, dead, starting } = watch();
    dead.add(1);
    starting.add('a');
    targets.follow([spec('a', 1)]);
    await vi.advanceTimersByTimeAsync(1_000);
    starting.clear();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(told).toEqual([down('a', 1)]);
    targets.close();
  });

  it('that stop without a visitor are noticed, within seconds if the check opens no connection', async () => {
    const { targets, told, asked, dead } = watch({ isUnnoticed: true });
    targets.follow([spec('a', 1)]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(asked).toHaveLength(11);
    dead.add(1);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(told).toEqual([up('a', 1), down('a', 1)]);
  });

  it('whose checks open connections are checked at increasing intervals while they respond', async () => {
    const { targets, told, asked, dead } = watch();
    targets.follow([spec('a', 1)]);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(30_000 + 60_000 + 60_000);
    expect(asked).toHaveLength(5);
    dead.add(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual([up('a', 1), down('a', 1)]);
  });

  it('are not checked while visitors reach them', async () => {
    const { targets, asked } = watch({ isUnnoticed: true });
    targets.follow([spec('a', 1)]);
    await targets.known();
    for (let seconds = 0; seconds < 20; seconds++) {
      targets.noted('a', parseTarget(1), undefined);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(asked).toHaveLength(2);
  });

  it('with `health` are checked only when the health check requests it', async () => {
    const { targets, told, asked, dead } = watch();
    const health = { intervalMs: 1_000, timeoutMs: 1_000 };
    targets.follow([spec('a', 1, { health })]);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked).toHaveLength(1);
    dead.add(1);
    await targets.recheck('a');
    expect(told).toEqual([up('a', 1), down('a', 1)]);
    dead.clear();
    await targets.recheck('a');
    targets.follow([spec('a', 1)]);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(15_000);
    expect(asked).toHaveLength(1);
  });

  it('are down from the first failed visitor connection, and are reported once', async () => {
    const { targets, told, dead } = watch();
    targets.follow([spec('a', 1)]);
    await targets.known();
    dead.add(1);
    for (const _ of [1, 2, 3]) targets.noted('a', parseTarget(1), 'nothing on 1');
    expect(told.slice(1)).toEqual([down('a', 1)]);
    dead.clear();
    // A successful visitor triggers an immediate check.
    targets.noted('a', parseTarget(1), undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(told.slice(2)).toEqual([up('a', 1)]);
  });

  it('stay down while only a forwarder accepts connections', async () => {
    const { targets, told, dead } = watch();
    dead.add(1);
    targets.follow([spec('a', 1)]);
    await targets.known();
    targets.noted('a', parseTarget(1), undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual([down('a', 1)]);
  });

  it('stay down if a connection fails during the check', async () => {
    const { targets, told } = watch();
    targets.follow([spec('a', 1)]);
    targets.noted('a', parseTarget(1), 'nothing on 1');
    await targets.known();
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual([down('a', 1)]);
  });

  it('of routes each have their own state', async () => {
    const { targets, told, dead } = watch();
    dead.add(2);
    const routes = [1, 2].map((port) => ({ prefix: `/${port}`, target: parseTarget(port) }));
    targets.follow([spec('a', 1, { mode: 'http', routes: routes as never })]);
    await targets.known();
    expect(told).toEqual([up('a', 1), down('a', 2)]);
    expect(targets.errorOf('a')).toBe('nothing on 2');
    expect(targets.errorsOf('a')).toEqual({ 'localhost:2': 'nothing on 2' });
  });

  it('of mode udp that no check can verify follow their visitors', async () => {
    const { targets, told, silent } = watch();
    silent.add(1);
    targets.follow([spec('a', 1, { mode: 'udp' })]);
    await targets.known();
    await targets.now();
    expect(told).toEqual([]);
    targets.noted('a', parseTarget(1), 'refused');
    await vi.advanceTimersByTimeAsync(5_000);
    targets.noted('a', parseTarget(1), undefined);
    expect(told).toEqual([{ ...up('a', 1), error: 'refused' }, up('a', 1)]);
  });

  it('keep their state when something else changes, and restart when they change', async () => {
    const { targets, told, asked, dead } = watch();
    dead.add(1);
    targets.follow([spec('a', 1), spec('b', 2)]);
    await targets.known();
    asked.length = 0;
    targets.follow([spec('a', 1, { metadata: { x: '1' } }), spec('b', 3)]);
    await targets.known();
    expect(asked).toEqual([3]);
    expect(told.slice(2)).toEqual([up('b', 3)]);
    targets.noted('b', parseTarget(2), 'of a former target');
    expect(targets.errorOf('b')).toBeUndefined();
    targets.follow([]);
    expect(targets.errorOf('a')).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('report nothing of a cancelled check', async () => {
    const told: Verdict[] = [];
    const answer = deferred<{ error: string }>();
    const targets = new TargetWatch((verdict) => told.push(verdict), { check: () => answer.promise });
    targets.follow([spec('a', 1)]);
    targets.close();
    answer.resolve({ error: 'nothing listens' });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told).toEqual([]);
  });
});
