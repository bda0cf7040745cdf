import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HealthSpec, ServiceSpec } from '../../agent/spec.js';
import { deferred } from '../../lib/wait.js';
import { HealthChecks } from './health.js';

const HEALTH: HealthSpec = { path: '/healthz', intervalMs: 1_000, timeoutMs: 100 };
const spec = (service: string, over: object = {}): ServiceSpec =>
  ({ service, health: HEALTH, target: { kind: 'tcp', host: '127.0.0.1', port: 1 }, ...over }) as ServiceSpec;

function checks(): {
  health: HealthChecks;
  told: unknown[];
  asked: string[];
  answers: Map<string, string | undefined>;
} {
  const told: unknown[] = [];
  const asked: string[] = [];
  const answers = new Map<string, string | undefined>();
  const health = new HealthChecks(
    (service, error) => told.push([service, error]),
    async ({ service }) => {
      asked.push(service);
      return answers.get(service);
    },
  );
  return { health, told, asked, answers };
}

describe('health checks', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('report once when a service becomes unhealthy, and once when it recovers', async () => {
    const { health, told, asked, answers } = checks();
    health.follow([spec('a'), spec('b', { health: undefined })]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([asked, told]).toEqual([['a', 'a'], []]);
    answers.set('a', 'returned 503');
    await vi.advanceTimersByTimeAsync(3_000);
    expect(told).toEqual([['a', 'returned 503']]);
    expect(health.errorOf('a')).toBe('returned 503');
    answers.delete('a');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual([
      ['a', 'returned 503'],
      ['a', undefined],
    ]);
    expect(health.errorOf('a')).toBeUndefined();
  });

  it('restart for a changed check, continue for an unchanged one, and stop for a removed service', async () => {
    const { health, told, asked, answers } = checks();
    answers.set('a', 'unhealthy').set('b', 'unhealthy');
    health.follow([spec('a'), spec('b')]);
    await vi.advanceTimersByTimeAsync(0);
    asked.length = 0;
    health.follow([
      spec('a', { metadata: { x: '1' } }),
      spec('b', { health: { ...HEALTH, path: '/other' } }),
    ]);
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual(['b']);
    expect(told).toHaveLength(3);
    health.follow([spec('b', { health: undefined })]);
    expect([health.errorOf('a'), health.errorOf('b')]).toEqual([undefined, undefined]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('report nothing of a cancelled check', async () => {
    const told: unknown[] = [];
    const answer = deferred<string>();
    const health = new HealthChecks(
      (service) => told.push(service),
      () => answer.promise,
    );
    health.follow([spec('a')]);
    health.close();
    answer.resolve('unhealthy');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('checks immediately, and never twice at the same time', async () => {
    const { health, asked } = checks();
    health.follow([spec('a')]);
    await Promise.all([health.now(), health.now()]);
    expect(asked).toEqual(['a']);
    await health.now();
    expect(asked).toEqual(['a', 'a']);
    expect(vi.getTimerCount()).toBe(1);
  });
});
