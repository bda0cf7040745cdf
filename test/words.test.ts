import { describe, expect, it } from 'vitest';
import { RULES } from '../scripts/words/rules.mjs';

describe('the words that `npm run words` flags', () => {
  it.each(RULES)('flags "$wrong", not "$right"', ({ pattern, wrong, right }) => {
    expect(pattern.test(wrong)).toBe(true);
    expect(pattern.test(right)).toBe(false);
  });
});
