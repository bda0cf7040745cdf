import { expect, it, onTestFinished, vi } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { Prober } from './prober.js';

/** A path on which no probe gets a reply, unless the test replies. */
function probing() {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let sequence = 0;
  const on = { up: vi.fn<() => void>(), lost: vi.fn<() => void>() };
  const prober = new Prober(() => ++sequence, LIMITS.datagramProbeMs, on);
  prober.probe();
  return { prober, on, reply: () => prober.replied(sequence) };
}

const untilLost = (): unknown => vi.advanceTimersByTime(2 * LIMITS.datagramProbeMs);

it('reports that a path is up once, and lost after several probes without a reply', () => {
  const { prober, on, reply } = probing();
  reply();
  untilLost();
  expect([on.up.mock.calls.length, on.lost.mock.calls.length, prober.up]).toEqual([1, 1, false]);
});

it('remembers whether a lost path had worked', () => {
  const worked = probing();
  worked.reply();
  const never = probing();
  untilLost();
  expect([worked.prober.worked, never.prober.worked]).toEqual([true, false]);
  expect(never.on.lost).toHaveBeenCalled();
});
