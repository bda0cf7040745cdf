import { describe, expect, it } from 'vitest';
import { Scope } from './scope.js';

describe('a scope', () => {
  it('cleans up in reverse order, once, however often it closes', async () => {
    const scope = new Scope();
    const done: string[] = [];
    scope.defer(() => void done.push('first'));
    scope.defer(async () => void done.push('second'));
    await Promise.all([scope.close(), scope.close()]);
    expect(done).toEqual(['second', 'first']);
  });

  it('continues when a cleanup fails, and reports the failure', async () => {
    const scope = new Scope();
    let reached = false;
    scope.defer(() => void (reached = true));
    scope.defer(() => Promise.reject(new Error('stuck')));
    await expect(scope.close()).rejects.toThrow('cleaning up failed');
    expect(reached).toBe(true);
  });

  it('aborts its signal before it cleans up', async () => {
    const scope = new Scope();
    let aborted = false;
    scope.defer(() => void (aborted = scope.signal.aborted));
    await scope.close();
    expect(aborted).toBe(true);
  });

  it('forgets a cleanup that was removed, and runs a late one immediately', async () => {
    const scope = new Scope();
    let runs = 0;
    scope.defer(() => void runs++)();
    await scope.close();
    expect(runs).toBe(0);
    scope.defer(() => void runs++);
    expect(runs).toBe(1);
  });

  it('closes its children, unless they closed earlier', async () => {
    const scope = new Scope();
    const [early, late] = [scope.child(), scope.child()];
    let runs = 0;
    early.defer(() => void runs++);
    late.defer(() => void runs++);
    await early.close();
    expect(runs).toBe(1);
    await scope.close();
    expect([runs, late.closed]).toEqual([2, true]);
  });
});
