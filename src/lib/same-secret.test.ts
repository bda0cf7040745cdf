import { expect, it } from 'vitest';
import { isSameSecret } from './same-secret.js';

it('compares texts of any length', () => {
  expect(isSameSecret('1234', '1234')).toBe(true);
  expect(isSameSecret('1234', '12345')).toBe(false);
  expect(isSameSecret('', '1')).toBe(false);
});
