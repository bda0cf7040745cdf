import { describe, expect, it } from 'vitest';
import { networkOf } from './names.js';

describe('what a limit per address counts', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:1:2:3:4', '2001:db8:0:0::/64'],
    ['2001:0db8:00a0:000b:1:2:3:4', '2001:db8:a0:b::/64'],
    ['2001:db8:a:b:c::', '2001:db8:a:b::/64'],
    ['2001:db8:a::4:5:6:7', '2001:db8:a:0::/64'],
    ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['', ''],
  ])('%s is of %s', (address, network) => expect(networkOf(address)).toBe(network));
});
