import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { interpolate } from './interpolate.js';

const tricky = fc.string({
  unit: fc.constantFrom('$', '{', '}', ':', '-', '?', 'A', 'b', '_', ' ', 'é', '\n'),
});
const nothing = (): undefined => undefined;

it('restores any text with doubled dollar signs', () => {
  fc.assert(
    fc.property(fc.oneof(tricky, fc.string({ unit: 'binary' })), (text) => {
      const result = interpolate(text.replaceAll('$', '$$$$'), nothing);
      expect(result).toEqual({ text, substituted: false, errors: [], bareNames: [], names: [] });
    }),
  );
});

it('inserts any value unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), tricky, (value, other) => {
      const literal = other.replaceAll('$', '$$$$');
      const result = interpolate(`${literal}\${V}${literal}`, (name) => (name === 'V' ? value : undefined));
      expect(result.text).toBe(other + value + other);
    }),
  );
});

it('never throws, and names the subject of each error', () => {
  fc.assert(
    fc.property(tricky, (text) => {
      for (const error of interpolate(text, nothing).errors) {
        expect(text).toContain(error.expression);
        expect(error.message).not.toBe('');
        expect(error.hint).not.toBe('');
      }
    }),
    { numRuns: 2000 },
  );
});
