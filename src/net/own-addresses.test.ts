import type { NetworkInterfaceInfo } from 'node:os';
import { expect, onTestFinished, test, vi } from 'vitest';
import { InterfaceWatch } from './own-addresses.js';

const interfaces = (...addresses: string[]) => ({
  eth0: addresses.map((address) => ({ address }) as NetworkInterfaceInfo),
});

/** A watch that reads addresses when the test requests it. */
function watched(...first: string[]) {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let now = first;
  const watch = new InterfaceWatch(() => interfaces('127.0.0.1', '::1', ...now), 1_000);
  const told: string[][] = [];
  const end = watch.watch((addresses) => told.push([...addresses]));
  return {
    told,
    end,
    look: (...addresses: string[]) => {
      now = addresses;
      vi.advanceTimersByTime(1_000);
    },
  };
}

test('reports addresses that appear, disappear or change', () => {
  const { told, look, end } = watched('192.0.2.1');
  look('192.0.2.1', '2001:db8::1');
  look('2001:db8::1');
  look('198.51.100.1');
  expect(told).toEqual([
    ['127.0.0.1', '::1', '192.0.2.1', '2001:db8::1'],
    ['127.0.0.1', '::1', '2001:db8::1'],
    ['127.0.0.1', '::1', '198.51.100.1'],
  ]);
  end();
});

test('ignores the order and link-local addresses', () => {
  const { told, look, end } = watched('192.0.2.1', '2001:db8::1');
  look('2001:db8::1', '192.0.2.1');
  look('192.0.2.1', '2001:db8::1', 'fe80::1', 'febf::1');
  expect(told).toEqual([]);
  end();
});

test('stops reading after the last watcher has stopped', () => {
  const { told, look, end } = watched('192.0.2.1');
  end();
  look('198.51.100.1');
  expect(told).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
