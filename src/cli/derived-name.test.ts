import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { derivedName } from './derived-name.js';

test('one DNS label, stable, and not the same for another', () => {
  const of = (text: string): string => derivedName(createHash('sha256').update(text).digest());
  expect(of('a')).toBe(of('a'));
  expect(of('a')).not.toBe(of('b'));
  for (let count = 0; count < 1_000; count += 1) {
    expect(derivedName(randomBytes(32))).toMatch(/^[a-z]+-[a-z]+-[2-9a-z]{4}$/);
  }
});
