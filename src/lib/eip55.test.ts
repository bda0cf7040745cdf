import { expect, it } from 'vitest';
import { checksummed, isAddress, isMistyped } from './eip55.js';

// The examples of EIP-55.
const EXAMPLES = [
  '0x52908400098527886E0F7030069857D2E4169EE7',
  '0xde709f2102306220921060314715629080e2fb77',
  '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
  '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
];

it.each(EXAMPLES)('%s has the right checksum, and lower or upper case is accepted', (address) => {
  expect(checksummed(address.toLowerCase())).toBe(address);
  for (const spelling of [address, address.toLowerCase(), `0x${address.slice(2).toUpperCase()}`])
    expect([isAddress(spelling), isMistyped(spelling)]).toEqual([true, false]);
});

it('a wrong checksum is recognised as a typo', () => {
  expect(isMistyped('0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed')).toBe(true);
  expect(isMistyped('0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD')).toBe(true);
});

it.each(['', '0x', '5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed', `${EXAMPLES[0]}0`, 'bob'])(
  '%j is invalid',
  (text) => expect(isAddress(text)).toBe(false),
);
