import { expect, test } from 'vitest';
import type { Phase } from '../../agent/status.js';
import type { TimedEvent } from '../reporters/reporter.js';
import { StartWatch } from './start-watch.js';

const time = '';
const STARTED: TimedEvent = { time, event: 'started', pid: 1, file: null };
const APPLIED: TimedEvent = {
  time,
  event: 'applied',
  revision: 1,
  opened: [],
  updated: [],
  replaced: [],
  closed: [],
  kept: [],
  failed: [],
  durationMs: 1,
};
const lease = (service: string, phase: Phase): TimedEvent => ({
  time,
  event: 'lease',
  service,
  relay: 'https://a',
  phase,
  ...(phase === 'failed' && { error: { code: 'name_taken', message: 'taken' } }),
});

function watch(forReady = true): StartWatch {
  const watching = new StartWatch({ forReady });
  watching.begin([
    { service: 'web', leases: 1 },
    { service: 'api', leases: 1 },
  ]);
  return watching;
}

test('--detach: once every service had its first try', () => {
  const watching = watch(false);
  for (const event of [STARTED, lease('web', 'failed'), lease('api', 'retrying')]) {
    expect(watching.note(event)).toBe('undecided');
  }
  expect(watching.note(APPLIED)).toBe('good');
});

test.each([true, false])('without services there is nothing to wait for (--wait: %s)', (forReady) => {
  const watching = new StartWatch({ forReady });
  watching.begin([]);
  expect(watching.note(STARTED)).toBe('undecided');
  expect(watching.note(APPLIED)).toBe('good');
});

test('ready is enough for --wait', () => {
  const watching = watch();
  expect(watching.note(STARTED)).toBe('undecided');
  expect(watching.note(lease('web', 'ready'))).toBe('undecided');
  expect(watching.note({ time, event: 'ready', services: {} })).toBe('good');
});

test('a service that failed counts once all have had their try', () => {
  const watching = watch();
  expect(watching.note(lease('web', 'failed'))).toBe('undecided');
  expect(watching.note(lease('api', 'retrying'))).toBe('undecided');
  expect(watching.note(APPLIED)).toMatchObject({
    code: 'name_taken',
    message: expect.stringContaining('web: taken') as string,
  });
});

test.each([true, false])('when all fail, the agent itself says so (--wait: %s)', (forReady) => {
  const watching = watch(forReady);
  for (const event of [lease('web', 'failed'), lease('api', 'failed'), APPLIED]) {
    expect(watching.note(event)).toBe('undecided');
  }
});

test('being late names who is not ready', () => {
  const watching = watch();
  watching.note(lease('web', 'ready'));
  expect(watching.late(60_000)).toMatchObject({
    code: 'timeout',
    message: expect.stringContaining('not ready: api') as string,
  });
});
