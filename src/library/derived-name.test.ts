import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { derivedName } from './derived-name.js';

const nameOf = (text: string): string => derivedName(createHash('sha256').update(text).digest());

test('derives one stable DNS label, different for each target', () => {
  expect(nameOf('a')).toBe(nameOf('a'));
  expect(nameOf('a')).not.toBe(nameOf('b'));
  for (let count = 0; count < 1_000; count += 1) {
    expect(derivedName(randomBytes(32))).toMatch(/^[a-z]+-[a-z]+-[2-9a-z]{4}$/);
  }
});
