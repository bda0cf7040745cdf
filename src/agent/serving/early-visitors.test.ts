import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { EarlyVisitors } from './early-visitors.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class FakeSocket extends EventEmitter {
  readonly destroy = vi.fn<() => void>(() => void this.emit('close'));
}

function place() {
  const early = new EarlyVisitors();
  const served: FakeSocket[] = [];
  const keep = (): FakeSocket => {
    const socket = new FakeSocket();
    early.keep(socket as unknown as Socket, () => served.push(socket));
    return socket;
  };
  return { early, served, keep };
}

it('serves visitors once there is a certificate, except those that have left', () => {
  const { early, served, keep } = place();
  const [first, gone, last] = [keep(), keep(), keep()];
  gone.emit('close');
  early.serve();
  expect(served).toEqual([first, last]);
  early.serve();
  expect(served).toHaveLength(2);
  early.destroy();
  expect([first.destroy.mock.calls.length, first.listenerCount('close'), vi.getTimerCount()]).toEqual([
    0, 0, 0,
  ]);
});

it('disconnects a visitor that has waited too long, and all when it is destroyed', () => {
  const { early, served, keep } = place();
  const slow = keep();
  vi.advanceTimersByTime(LIMITS.firstResponseMs);
  expect(slow.destroy).toHaveBeenCalledOnce();
  const waiting = keep();
  early.destroy();
  expect(waiting.destroy).toHaveBeenCalledOnce();
  early.serve();
  expect([served, vi.getTimerCount()]).toEqual([[], 0]);
});
