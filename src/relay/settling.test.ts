import { describe, expect, it, vi, beforeEach, afterEach } from 'vitest';
import { delay } from '../lib/wait.js';
import { Settling, type SettlingOptions } from './settling.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** How long `task` takes. Time passes in steps of 10 ms; `each` hears how much has passed. */
async function timed(
  task: Promise<void>,
  each: (passedMs: number) => void = () => undefined,
): Promise<number> {
  let isOver = false;
  void task.then(() => (isOver = true));
  for (let passedMs = 0; ; passedMs += 10) {
    for (let turn = 0; turn < 8; turn++) await new Promise(setImmediate);
    if (isOver) return passedMs;
    each(passedMs);
    await vi.advanceTimersByTimeAsync(10);
  }
}

/** A relay with `waiting` visitors. */
function relayWith(waiting: number, over: Partial<SettlingOptions> = {}) {
  const state = { waiting, accepted: 0 };
  const settling = new Settling({
    arrived: {
      accepted: () => state.accepted,
      waiting: () => state.waiting,
      isSettled: () => state.waiting === 0,
    },
    quietMs: 2_000,
    inStep: undefined,
    signal: undefined,
    ...over,
  });
  return { state, settling };
}

describe('a relay that shuts down', () => {
  it('does not wait without visitors', async () => {
    const { settling } = relayWith(0);
    expect(await timed(settling.everywhere())).toBe(0);
  });

  it('waits while visitors are served, one after the other', async () => {
    const { state, settling } = relayWith(3);
    const serve = (passedMs: number): void => {
      if (passedMs > 0 && passedMs % 1_500 === 0) state.waiting--;
    };
    expect(await timed(settling.here(), serve)).toBeGreaterThanOrEqual(4_500);
    expect(state.waiting).toBe(0);
  });

  it('waits once for visitors whom nothing serves', async () => {
    const { settling } = relayWith(1);
    const ms = await timed(settling.here());
    expect(ms).toBeGreaterThanOrEqual(2_000);
    expect(ms).toBeLessThan(2_100);
    expect(await timed(settling.everywhere())).toBe(0);
  });

  it('waits again when another visitor arrives beside them', async () => {
    const { state, settling } = relayWith(1);
    await timed(settling.here());
    state.waiting = 2;
    const serve = (passedMs: number): void => {
      if (passedMs === 1_000) state.waiting = 1;
    };
    expect(await timed(settling.here(), serve)).toBeGreaterThanOrEqual(1_000);
  });

  it('ends although there are always visitors', async () => {
    const { state, settling } = relayWith(1);
    const ms = await timed(settling.here(), () => (state.waiting = 3 - state.waiting));
    expect(ms).toBeGreaterThanOrEqual(5_000);
    expect(ms).toBeLessThan(5_200);
    const later = await timed(settling.here(), () => (state.waiting = 3 - state.waiting));
    expect(later).toBeLessThan(300);
  });

  it('ends no later when other nodes keep it waiting', async () => {
    const { state, settling } = relayWith(0);
    await timed(settling.here());
    await timed(delay(5_000));
    state.waiting = 1;
    expect(await timed(settling.here(), () => (state.waiting = 3 - state.waiting))).toBeLessThan(300);
    // One whom they forwarded meanwhile is served.
    state.waiting = 1;
    const served = timed(settling.here(), (passedMs) => (state.waiting = passedMs < 100 ? 1 : 0));
    expect(await served).toBeGreaterThanOrEqual(100);
  });

  it('ends at once when it must hurry', async () => {
    const hurry = new AbortController();
    const { settling } = relayWith(1, { signal: hurry.signal });
    const ms = await timed(settling.here(), (passedMs) => {
      if (passedMs === 100) hurry.abort();
    });
    expect(ms).toBeLessThan(150);
  });

  it('serves visitors that another node forwards at the last moment, and forwards again', async () => {
    let [steps, served] = [0, 0];
    const inStep = async (): Promise<void> => {
      steps++;
      if (steps < 3) state.waiting = 1;
    };
    const { state, settling } = relayWith(0, { inStep });
    await timed(settling.everywhere(), () => {
      served += state.waiting;
      state.waiting = 0;
    });
    expect({ steps, served }).toEqual({ steps: 3, served: 2 });
  });
});
