import { expect, test } from 'vitest';
import type { ControlChannel } from './control.js';
import { NetworkWatch } from './network-watch.js';

/** A session at `localAddress`, and a network that the test changes. */
function session(localAddress: string | undefined, rttMs?: number) {
  const asked: number[] = [];
  let tell: ((addresses: ReadonlySet<string>) => void) | undefined;
  const channel = { localAddress, rttMs, check: (ms: number) => Promise.resolve(asked.push(ms) > 0) };
  const watch = new NetworkWatch(() => channel as unknown as ControlChannel, {
    watch: (changed) => {
      tell = changed;
      return () => (tell = undefined);
    },
  });
  return { watch, asked, change: (...addresses: string[]) => tell?.(new Set(addresses)) };
}

test('checks the relay when addresses change, with a shorter timeout if its own address was removed', () => {
  const { asked, change } = session('192.0.2.1');
  change('192.0.2.1', '198.51.100.1');
  change('198.51.100.1');
  expect(asked).toHaveLength(2);
  expect(asked[1]).toBeLessThan(asked[0]!);
});

test('gives a slow relay more time, unless its own address was removed', () => {
  const { asked, change } = session('192.0.2.1', 2_000);
  change('192.0.2.1', '198.51.100.1');
  change('198.51.100.1');
  expect(asked).toEqual([8_000, 1_000]);
});

test('does not check a relay on this machine', () => {
  const { asked, change } = session('127.0.0.1');
  change('198.51.100.1');
  expect(asked).toEqual([]);
});

test('restarts backoff and attempts at each change', () => {
  const { watch, change } = session(undefined);
  const first = watch.changed;
  change('198.51.100.1');
  expect(first.aborted).toBe(true);
  expect(watch.changed.aborted).toBe(false);
});

test('does nothing after close', () => {
  const { watch, asked, change } = session('192.0.2.1');
  watch.close();
  change('198.51.100.1');
  expect(asked).toEqual([]);
});
