import { expect, it } from 'vitest';
import { confirmReuse, readReuse } from './reuse.js';

it.each(['', 'ab', '-_'])('reads the confirmation of a relay whose tickets begin with %j', (tag) => {
  expect(readReuse(confirmReuse(tag))).toBe(tag);
});

it.each([
  undefined,
  '',
  '0',
  '2',
  '11',
  '1;',
  '1; tickets=',
  '1; tickets=a b',
  '1; tickets=aaaaaaaaaaaaaaaaa',
])('reads no confirmation in %j', (value) => {
  expect(readReuse(value)).toBeUndefined();
});
