import { expect, test } from 'vitest';
import type { Phase } from '../agent/status.js';
import { LeaseBoard } from './lease-board.js';

const lease = (service: string, relay: string, phase: Phase) =>
  ({ event: 'lease', service, relay, phase }) as const;

test('a service is ready once its leases are ready or failed, and one is ready', () => {
  const board = new LeaseBoard([{ service: 'web', leases: 2 }]);
  board.note(lease('web', 'https://a', 'ready'));
  expect(board.outcome('web')).toBe('pending');
  board.note(lease('web', 'https://b', 'failed'));
  expect(board.outcome('web')).toBe('ready');
});

test('all have failed only if each has failed, and there is at least one', () => {
  expect(new LeaseBoard([]).allFailed()).toBe(false);
  const board = new LeaseBoard([
    { service: 'web', leases: 1 },
    { service: 'api', leases: 1 },
  ]);
  board.note(lease('web', 'https://a', 'failed'));
  expect(board.allFailed()).toBe(false);
  expect(board.services('pending')).toEqual(['api']);
  board.note(lease('api', 'https://a', 'failed'));
  expect(board.allFailed()).toBe(true);
  board.note(lease('web', 'https://a', 'closed'));
  expect(board.allFailed()).toBe(true);
});

test('ignores unexpected services', () => {
  const board = new LeaseBoard([{ service: 'web', leases: 1 }]);
  board.note(lease('later', 'https://a', 'failed'));
  expect(board.services('failed')).toEqual([]);
});
