import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { silent } from '../../lib/logger.js';
import { deferred, delay } from '../../lib/wait.js';
import { Supervisor, type Supervised } from './supervisor.js';

class FakeWorker implements Supervised {
  readonly name: string;
  readonly pid = undefined;
  readonly starting = deferred<void>();
  readonly end = deferred<string>();
  killed = false;
  /** How long it takes to respond. Undefined: it does not respond. */
  respondsAfterMs: number | undefined = 0;

  constructor(name: string) {
    this.name = name;
  }

  start(): Promise<void> {
    return this.starting.promise;
  }

  ping(): Promise<void> {
    const ms = this.respondsAfterMs;
    return ms === undefined ? new Promise(() => undefined) : delay(ms);
  }

  get ended(): Promise<string> {
    return this.end.promise;
  }

  kill(): void {
    this.killed = true;
    this.end.resolve('was killed');
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const RESPONSE_MS = 8_000;

function supervise(count: number) {
  const workers: FakeWorker[] = [];
  const lost: unknown[] = [];
  const ended: string[] = [];
  const supervisor = new Supervisor({
    count,
    responseMs: RESPONSE_MS,
    fork: () => {
      const worker = new FakeWorker(`w${workers.length + 1}`);
      workers.push(worker);
      return worker;
    },
    onLost: (error) => lost.push(error),
    onEnded: ({ name }) => ended.push(name),
    log: silent,
  });
  const runningNames = (): string[] => supervisor.running.map(({ name }) => name);
  return { supervisor, workers, lost, ended, runningNames };
}

const inUse = new PortalError('address_in_use', '127.0.0.1:443 is in use');

/** Longer than any pause between two workers. */
const passPause = (): Promise<unknown> => vi.advanceTimersByTimeAsync(4_000);

it('starts all workers at once, and resolves when all of them serve', async () => {
  const { supervisor, workers, runningNames } = supervise(3);
  let isStarted = false;
  const started = supervisor.start().then(() => (isStarted = true));
  expect(workers).toHaveLength(3);
  for (const worker of workers.slice(1)) worker.starting.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect(isStarted).toBe(false);
  workers[0]!.starting.resolve();
  await started;
  expect(runningNames().toSorted()).toEqual(['w1', 'w2', 'w3']);
  supervisor.stop();
});

it.each([
  ['throws', (worker: FakeWorker) => worker.starting.reject(inUse), inUse],
  [
    'ends',
    (worker: FakeWorker) => worker.end.resolve('exited with code 1'),
    expect.objectContaining({ message: 'worker w2 exited with code 1 while it was starting' }),
  ],
])('ends every worker if one %s at the start', async (_how, fail, error) => {
  const { supervisor, workers, lost, runningNames } = supervise(3);
  const started = supervisor.start();
  workers[0]!.starting.resolve();
  fail(workers[1]!);
  await expect(started).rejects.toEqual(error);
  expect(workers.map(({ killed }) => killed)).toEqual([true, true, true]);
  await passPause();
  expect([workers.length, lost, runningNames()]).toEqual([3, [], []]);
});

it('throws if a worker does not start in time', async () => {
  const { supervisor, workers } = supervise(1);
  const started = supervisor.start();
  const failed = started.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(61_000);
  expect(await failed).toMatchObject({ code: 'timeout' });
  expect(workers[0]!.killed).toBe(true);
});

async function running(count: number) {
  const all = supervise(count);
  const started = all.supervisor.start();
  for (const worker of all.workers) worker.starting.resolve();
  await started;
  return all;
}

it('replaces a worker that ends, and counts it', async () => {
  const { supervisor, workers, runningNames } = await running(2);
  workers[0]!.end.resolve('was ended by SIGKILL');
  await passPause();
  workers[2]!.starting.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect([runningNames(), supervisor.restarts]).toEqual([['w2', 'w3'], 1]);
  supervisor.stop();
});

it('kills and replaces a worker that does not respond in time, and no other', async () => {
  const { supervisor, workers, ended } = await running(2);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(workers).toHaveLength(2);
  workers[0]!.respondsAfterMs = RESPONSE_MS - 1;
  workers[1]!.respondsAfterMs = undefined;
  await vi.advanceTimersByTimeAsync(RESPONSE_MS);
  expect(workers[1]!.killed).toBe(false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([workers[0]!.killed, workers[1]!.killed, workers.length, ended]).toEqual([false, true, 3, ['w2']]);
  supervisor.stop();
});

it('kills a worker that does not respond after the stop, while it drains', async () => {
  const { supervisor, workers } = await running(2);
  supervisor.stop();
  workers[1]!.respondsAfterMs = undefined;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(workers.map(({ killed }) => killed)).toEqual([false, true]);
  workers[0]!.end.resolve('exited with code 0');
});

it('waits longer before each replacement while workers end early, up to a limit', async () => {
  const { supervisor, workers } = await running(1);
  const pauses: number[] = [];
  for (let round = 0; round < 8; round++) {
    const before = performance.now();
    workers.at(-1)!.end.resolve('exited with code 1');
    const { length } = workers;
    while (workers.length === length) await vi.advanceTimersByTimeAsync(50);
    pauses.push(performance.now() - before);
    workers.at(-1)!.starting.resolve();
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
  expect(pauses[0]).toBeLessThan(pauses[3]!);
  expect(pauses.at(-1)).toBe(3_000);
  supervisor.stop();
});

it('tries again if a replacement cannot start, while other workers run', async () => {
  const { supervisor, workers, lost, runningNames } = await running(2);
  workers[0]!.end.resolve('exited with code 1');
  await passPause();
  workers[2]!.starting.reject(inUse);
  await passPause();
  workers[3]!.starting.resolve();
  await vi.advanceTimersByTimeAsync(0);
  expect([runningNames(), lost]).toEqual([['w2', 'w4'], []]);
  supervisor.stop();
});

it('gives up when no worker runs and none can start', async () => {
  const { workers, lost } = await running(1);
  workers[0]!.end.resolve('exited with code 1');
  await passPause();
  workers[1]!.starting.reject(inUse);
  await passPause();
  expect([lost, workers.length]).toEqual([[inUse], 2]);
});

it('replaces no worker after it stops, and ends those that are starting', async () => {
  const { supervisor, workers } = await running(2);
  workers[0]!.end.resolve('exited with code 1');
  await passPause();
  supervisor.stop();
  expect(workers[2]!.killed).toBe(true);
  workers[1]!.end.resolve('exited with code 0');
  await passPause();
  expect([workers.length, supervisor.running]).toEqual([3, []]);
});
