import { expect, test } from 'vitest';
import type { ControlChannel } from './control.js';
import { NetworkWatch } from './network-watch.js';

/** A session at `localAddress`, and a network whose changes the test makes. */
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

test('the relay is asked when addresses change, and has less time where ours is gone', () => {
  const { asked, change } = session('192.0.2.1');
  change('192.0.2.1', '198.51.100.1');
  change('198.51.100.1');
  expect(asked).toHaveLength(2);
  expect(asked[1]).toBeLessThan(asked[0]!);
});

test('a relay that usually takes seconds to answer has its time, unless our address is gone', () => {
  const { asked, change } = session('192.0.2.1', 2_000);
  change('192.0.2.1', '198.51.100.1');
  change('198.51.100.1');
  expect(asked).toEqual([8_000, 1_000]);
});

test('a relay on this machine is not asked', () => {
  const { asked, change } = session('127.0.0.1');
  change('198.51.100.1');
  expect(asked).toEqual([]);
});

test('what waits or is under way begins anew with each change', () => {
  const { watch, change } = session(undefined);
  const first = watch.changed;
  change('198.51.100.1');
  expect(first.aborted).toBe(true);
  expect(watch.changed.aborted).toBe(false);
});

test('nothing follows once it is closed', () => {
  const { watch, asked, change } = session('192.0.2.1');
  watch.close();
  change('198.51.100.1');
  expect(asked).toEqual([]);
});
