import { tmpdir } from 'node:os';
import { afterEach, expect, it, vi } from 'vitest';
import { readLines } from './lines.js';
import { ProcessGroup } from './process-group.js';
import { isAlive } from '../../lib/is-alive.js';

const groups: ProcessGroup[] = [];
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  for (const group of groups.splice(0)) group.kill();
});

/** A shell and a child that ignore SIGTERM. Resolves with their process ids once they run. */
async function stubborn(): Promise<{ group: ProcessGroup; pids: number[] }> {
  // A child inherits what the shell ignores.
  const run = `trap '' TERM; sleep 60 & echo $$ $!; wait`;
  const group = new ProcessGroup({ run, cwd: tmpdir(), env: process.env });
  groups.push(group);
  const line = await new Promise<string>((resolve) => readLines(group.stdout, resolve));
  return { group, pids: line.split(' ').map(Number) };
}

it('gets SIGTERM, and after five seconds SIGKILL for every process that ignores it', async () => {
  const { group, pids } = await stubborn();
  const kill = vi.spyOn(process, 'kill');
  const sent = (): unknown[] => kill.mock.calls.filter(([, signal]) => signal !== 0);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const stopped = group.stop();
  await vi.advanceTimersByTimeAsync(4_990);
  expect(sent()).toEqual([[-group.pid!, 'SIGTERM']]);
  expect(pids.filter(isAlive)).toEqual(pids);
  await vi.advanceTimersByTimeAsync(10);
  expect(sent()).toEqual([
    [-group.pid!, 'SIGTERM'],
    [-group.pid!, 'SIGKILL'],
  ]);
  expect(await group.exited).toEqual({ code: null, signal: 'SIGKILL' });
  await expect.poll(() => pids.filter(isAlive)).toEqual([]);
  await vi.runAllTimersAsync();
  await stopped;
});

it('gets SIGKILL at once when the process of the agent exits', async () => {
  const { group, pids } = await stubborn();
  group.kill();
  expect(await group.exited).toEqual({ code: null, signal: 'SIGKILL' });
  await expect.poll(() => pids.filter(isAlive)).toEqual([]);
});
