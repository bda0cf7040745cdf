import { describe, expect, it } from 'vitest';
import { RunState, type RunPhase } from './run-state.js';

const PASS = ['preparing', 'choosing', 'opening', 'running'] as const;

const after = (...phases: RunPhase[]): RunState => {
  const state = new RunState();
  for (const phase of phases) state.enter(phase);
  return state;
};

describe('a runner', () => {
  it('goes through its phases, and counts applied configurations', () => {
    const state = after(...PASS);
    expect([state.now, state.revision, state.isServing]).toEqual(['running', 1, true]);
    for (const phase of PASS) expect(state.enter(phase)).toBe(true);
    expect(state.revision).toBe(2);
  });

  it.each(['preparing', 'choosing', 'opening'] as const)(
    'begins again after a pass failed in %s',
    (failed) => {
      const state = after(...PASS, ...PASS.slice(0, PASS.indexOf(failed) + 1));
      expect(state.enter('preparing')).toBe(true);
      expect([state.revision, state.isServing]).toEqual([1, true]);
    },
  );

  it('rejects a phase that cannot follow', () => {
    expect(() => after('preparing', 'opening')).toThrow('cannot go from preparing to opening');
  });

  it.each(['idle', ...PASS] as const)('stops in %s, and stays so', (phase) => {
    const state = after(...PASS.slice(0, phase === 'idle' ? 0 : PASS.indexOf(phase) + 1), 'stopping');
    expect([state.isStopping, state.isServing]).toEqual([true, false]);
    for (const next of [...PASS, 'stopping'] as const) expect(state.enter(next)).toBe(false);
    expect(state.now).toBe('stopping');
  });

  it('can be hurried in one pass, and not in the next one', async () => {
    const state = after('preparing', 'choosing');
    state.hurry();
    state.enter('opening');
    const next = state.hurried;
    const isHurried = (): Promise<boolean> =>
      Promise.race([next.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);
    expect(await isHurried()).toBe(false);
    state.hurry();
    expect(await isHurried()).toBe(true);
  });
});
