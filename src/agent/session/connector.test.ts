import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Identity } from '../../identity/identity.js';
import { PortalError } from '../../lib/errors.js';
import { silent } from '../../lib/logger.js';
import { Connector, type ConnectorOptions } from './connector.js';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A connector whose attempts fail before they open a socket. `at` has the time of each attempt. */
function place(failure: () => Error, over: Partial<ConnectorOptions> = {}) {
  const start = performance.now();
  const at: number[] = [];
  const failures: PortalError[] = [];
  const stop = new AbortController();
  let changed = new AbortController();
  const connector = new Connector({
    resolve: () => {
      at.push(Math.round(performance.now() - start));
      return Promise.reject(failure());
    },
    identity: {} as Identity,
    instance: 'instance',
    version: '1',
    network: {
      get changed() {
        return changed.signal;
      },
      changedIn: () => ({ signal: changed.signal, end: () => undefined }),
    },
    onFailed: (error) => failures.push(error),
    mayConnect: () => Promise.resolve(),
    signal: stop.signal,
    log: silent,
    ...over,
  });
  const move = (): void => {
    const before = changed;
    changed = new AbortController();
    before.abort();
  };
  return { connector, at, failures, stop, move };
}

const missing = (): Error => new Error('ENOENT: ca.pem');

describe('Connector', () => {
  it('pauses after each failure, longer each time, even if the relay cannot be looked up', async () => {
    const { connector, at, failures, stop } = place(missing);
    const connecting = connector.connect();
    connecting.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(at).toEqual([0]);
    expect(connector.nextInMs).toBe(200);
    await vi.advanceTimersByTimeAsync(30_000);
    const pauses = at.slice(1).map((time, i) => time - at[i]!);
    expect(pauses.slice(0, 4)).toEqual([200, 340, 578, 983]);
    expect(pauses.at(-1)).toBe(5_000);
    expect(failures).toHaveLength(at.length);
    stop.abort();
    await expect(connecting).rejects.toThrow('cancelled');
    expect(connector.nextInMs).toBeUndefined();
  });

  it('waits as long as the relay asks', async () => {
    const { connector, at, stop } = place(
      () => new PortalError('relay_busy', 'too many', { retryAfterMs: 7_000 }),
    );
    connector.connect().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(6_999);
    expect(at).toEqual([0]);
    await vi.advanceTimersByTimeAsync(7_001);
    expect(at.length).toBeGreaterThan(1);
    stop.abort();
  });

  it('tries again at once when the addresses of this machine change', async () => {
    const { connector, at, stop, move } = place(missing);
    connector.connect().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(100);
    move();
    await vi.advanceTimersByTimeAsync(0);
    expect(at).toEqual([0, 100]);
    stop.abort();
    let isOver = false;
    void connector.pause(60_000).then(() => (isOver = true));
    await vi.advanceTimersByTimeAsync(0);
    expect(isOver).toBe(true);
  });

  it('makes no attempt while it may not connect', async () => {
    const { connector, at, failures } = place(missing, { mayConnect: () => new Promise(() => undefined) });
    connector.connect().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([at.length, failures.length]).toEqual([1, 1]);
  });
});
