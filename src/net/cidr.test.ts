import * as fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { AddressSet, networkOf, networksAround, rangeProblem } from './cidr.js';

const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

describe('the notation of a range', () => {
  it.each([
    '85.99.254.169',
    '10.0.0.0/8',
    '0.0.0.0/0',
    '2001:db8::/32',
    '::1',
    '::/0',
    '::ffff:10.0.0.0/104',
  ])('%s is a valid range', (text) => expect(rangeProblem(text)).toBeUndefined());

  it.each([
    '',
    'localhost',
    '10.0.0',
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/',
    'fe80::1%eth0',
    ' 10.0.0.1',
  ])('%s is invalid', (text) => expect(rangeProblem(text)).toBe('is not an IP address or range'));

  it.each([
    ['10.0.0.0/33', '/33 is beyond /32'],
    ['2001:db8::/129', '/129 is beyond /128'],
  ])('names the prefix of %s', (text, why) =>
    expect(rangeProblem(text)).toBe(`is not an IP address or range: ${why}`),
  );

  it('rejects an address inside a range and names the range', () => {
    expect(rangeProblem('10.1.2.3/8')).toContain('write 10.0.0.0/8');
    expect(rangeProblem('2001:db8::1/32')).toContain('write 2001:db8::/32');
  });
});

describe('a set of addresses', () => {
  it.each([
    ['10.1.2.3', ['10.0.0.0/8'], true],
    ['11.1.2.3', ['10.0.0.0/8'], false],
    ['::ffff:10.1.2.3', ['10.0.0.0/8'], true],
    ['::ffff:a01:203', ['10.0.0.0/8'], true],
    ['10.1.2.3', ['::ffff:10.0.0.0/104'], true],
    ['10.1.2.3', ['::ffff:10.1.2.3'], true],
    ['2001:db8::7', ['2001:db8::/32'], true],
    ['2001:DB8:0::7', ['2001:db8::7'], true],
    ['2001:db9::7', ['2001:db8::/32'], false],
    ['fe80::1%eth0', ['fe80::/10'], true],
    ['10.1.2.3', ['::/0'], false],
    ['::10.1.2.3', ['10.0.0.0/8'], false],
    ['::10.1.2.3', ['::/96'], true],
    ['10.1.2.3', ['::10.1.2.3'], false],
    ['::a01:203', ['::10.1.2.3'], true],
    ['10.1.2.3', ['::10.0.0.0/104'], false],
    ['1.2.3.4', ['85.99.254.169', '1.2.3.4'], true],
    ['', ['0.0.0.0/0', '::/0'], false],
    ['unknown', ['0.0.0.0/0', '::/0'], false],
  ])('%s in %j: %s', (address, ranges, isIn) => expect(new AddressSet(ranges).has(address)).toBe(isIn));

  const v4 = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 });
  const v4Range = fc.tuple(v4, fc.integer({ min: 0, max: 32 })).map(([parts, bits]) => {
    const text = `${parts.join('.')}/${bits}`;
    return `${ipaddr.IPv4.networkAddressFromCIDR(text).toString()}/${bits}`;
  });

  it('contains exactly the addresses of its ranges', () => {
    fc.assert(
      fc.property(v4, fc.array(v4Range, { maxLength: 4 }), (parts, ranges) => {
        const address = parts.join('.');
        const expected = ranges.some((range) => {
          const [base, bits] = range.split('/') as [string, string];
          const size = 2 ** (32 - Number(bits));
          return Math.floor(number(address) / size) === Math.floor(number(base) / size);
        });
        expect(new AddressSet(ranges).has(address)).toBe(expected);
      }),
    );
  });

  it('covers another set only when all of its addresses are inside', () => {
    expect(new AddressSet(['10.0.0.0/8']).covers(new AddressSet(['10.1.0.0/16', '10.2.3.4']))).toBe(true);
    expect(new AddressSet(['10.1.0.0/16']).covers(new AddressSet(['10.0.0.0/8']))).toBe(false);
    expect(new AddressSet(['::/0']).covers(new AddressSet(['10.0.0.0/8']))).toBe(false);
    expect(new AddressSet(['10.0.0.0/8']).covers(new AddressSet(['::ffff:10.0.0.0/104']))).toBe(true);
  });
});

describe('the network that a limit per address counts', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::1', '::/64'],
    ['::192.0.2.7', '::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['2001:db8:0:0:1:2:3:4', '2001:db8::/64'],
    ['2001:0db8:00a0:000b:1:2:3:4', '2001:db8:a0:b::/64'],
    ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b::/64'],
    ['', ''],
  ])('%s counts as %s', (address, network) => expect(networkOf(address)).toBe(network));
});

describe('the networks around an address', () => {
  it.each([
    ['192.0.2.17', ['192.0.2.0/24', '192.0.0.0/16']],
    ['2001:db8:1:2::7', ['2001:db8:1::/48', '2001:db8::/32']],
    ['2001:db8::7', ['2001:db8:0::/48', '2001:db8::/32']],
    ['2001:0:0:5::7', ['2001:0:0::/48', '2001:0::/32']],
    ['::1', ['0:0:0::/48', '0:0::/32']],
    ['', ['', '']],
    ['unknown', ['unknown', 'unknown']],
  ])('of %s: %j', (address, around) => expect(networksAround(networkOf(address))).toEqual(around));

  it('are the same for every address inside, and differ for others', () => {
    const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
    const half = fc.array(group, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(half, half, (left, right) => {
        const [[a, b], [c, d]] = [left, right].map((groups) =>
          networksAround(networkOf([...groups, 1, 2, 3, 4].join(':'))),
        ) as [readonly [string, string], readonly [string, string]];
        expect(a === c).toBe(left.slice(0, 3).join() === right.slice(0, 3).join());
        expect(b === d).toBe(left.slice(0, 2).join() === right.slice(0, 2).join());
      }),
    );
  });
});
