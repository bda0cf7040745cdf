import { expect, it } from 'vitest';
import { ExpectedProbes, PROBE_BYTES } from './udp-probes.js';

const tokenOf = (byte: number): Buffer => Buffer.alloc(PROBE_BYTES, byte);

it('takes exactly the bytes of a probe, and copies of the latest one', () => {
  const probes = new ExpectedProbes();
  const arrived: number[] = [];
  expect(probes.take(tokenOf(1))).toBe(false);
  const finished = probes.expect(tokenOf(1), () => arrived.push(1));
  expect([tokenOf(2), tokenOf(1).subarray(1), tokenOf(1)].map((each) => probes.take(each))).toEqual([
    false,
    false,
    true,
  ]);
  finished();
  expect(probes.take(tokenOf(1))).toBe(true);
  expect(arrived).toEqual([1, 1]);
});

it('forgets a finished probe once the next one has finished', () => {
  const probes = new ExpectedProbes();
  probes.expect(tokenOf(1), () => undefined)();
  const finished = probes.expect(tokenOf(2), () => undefined);
  expect(probes.take(tokenOf(1))).toBe(true);
  finished();
  expect(probes.take(tokenOf(1))).toBe(false);
  expect(probes.take(tokenOf(2))).toBe(true);
});
