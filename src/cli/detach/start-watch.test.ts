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

test('--detach: returns after the first attempt for every service', () => {
  const watching = watch(false);
  for (const event of [STARTED, lease('web', 'failed'), lease('api', 'retrying')]) {
    expect(watching.note(event)).toBe('undecided');
  }
  expect(watching.note(APPLIED)).toBe('succeeded');
});

test.each([true, false])('does not wait without services (--wait: %s)', (forReady) => {
  const watching = new StartWatch({ forReady });
  watching.begin([]);
  expect(watching.note(STARTED)).toBe('undecided');
  expect(watching.note(APPLIED)).toBe('succeeded');
});

test('--wait returns once all services are ready', () => {
  const watching = watch();
  expect(watching.note(STARTED)).toBe('undecided');
  expect(watching.note(lease('web', 'ready'))).toBe('undecided');
  expect(watching.note({ time, event: 'ready', services: {} })).toBe('succeeded');
});

test('a failed service counts after the first attempt of all services', () => {
  const watching = watch();
  expect(watching.note(lease('web', 'failed'))).toBe('undecided');
  expect(watching.note(lease('api', 'retrying'))).toBe('undecided');
  expect(watching.note(APPLIED)).toMatchObject({
    code: 'name_taken',
    message: expect.stringContaining('web: taken') as string,
  });
});

test.each([true, false])('leaves the error to the agent if all services fail (--wait: %s)', (forReady) => {
  const watching = watch(forReady);
  for (const event of [lease('web', 'failed'), lease('api', 'failed'), APPLIED]) {
    expect(watching.note(event)).toBe('undecided');
  }
});

test('a timeout names the services that are not ready', () => {
  const watching = watch();
  watching.note(lease('web', 'ready'));
  expect(watching.late(60_000)).toMatchObject({
    code: 'timeout',
    message: expect.stringContaining('not ready: api') as string,
  });
});
