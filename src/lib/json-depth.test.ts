import { expect, it } from 'vitest';
import { tooDeepAt } from './json-depth.js';

it('names the place where JSON is nested too deep', () => {
  expect(tooDeepAt('[\n  {"a": [1]}]', 2)).toEqual({ line: 2, column: 9 });
  expect(tooDeepAt('[[1],[2],[3]]', 2)).toBeUndefined();
});

it('ignores brackets in strings', () => {
  expect(tooDeepAt(String.raw`["[[[", "\"[[[", "\\"]`, 1)).toBeUndefined();
  expect(tooDeepAt('["", [1]]', 1)).toEqual({ line: 1, column: 6 });
});

it('accepts an endless string of escaped quotes', () => {
  expect(tooDeepAt(`"${'\\"'.repeat(500_000)}`, 1)).toBeUndefined();
});
