import { expect, it } from 'vitest';
import { tooDeepAt } from './json-depth.js';

it('says where JSON goes too deep', () => {
  expect(tooDeepAt('[\n  {"a": [1]}]', 2)).toEqual({ line: 2, column: 9 });
  expect(tooDeepAt('[[1],[2],[3]]', 2)).toBeUndefined();
});

it('counts no bracket inside text', () => {
  expect(tooDeepAt(String.raw`["[[[", "\"[[[", "\\"]`, 1)).toBeUndefined();
  expect(tooDeepAt('["", [1]]', 1)).toEqual({ line: 1, column: 6 });
});

it('takes a text of escaped quotes without an end', () => {
  expect(tooDeepAt(`"${'\\"'.repeat(500_000)}`, 1)).toBeUndefined();
});
