import { describe, expect, it } from 'vitest';
import { mergePatch } from './merge.js';
import { parse } from './text/parse.js';
import { Source, sourceText } from './text/source.js';
import { placeOf, toValue, type Tree } from './text/tree.js';

function tree(text: string, file = 'x'): Tree {
  return parse(new Source(file, text)).tree;
}

describe('mergePatch', () => {
  // RFC 7396, appendix A.
  it.each([
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ])('%s with %s is %s', (target, patch, result) => {
    expect(toValue(mergePatch(tree(target), tree(patch)))).toEqual(JSON.parse(result));
  });

  it('keeps the position of every value in its own file', () => {
    const merged = mergePatch(
      tree('services:\n  web: 3000\n  api: { target: 1 }\n', 'base'),
      tree('services:\n  web: 4000\n  api: { name: x }\n', 'local'),
    );
    const told = [
      ['services', 'web'],
      ['services', 'api', 'target'],
      ['services', 'api', 'name'],
      ['services', 'api'],
    ].map((path) => {
      const place = placeOf(merged, path);
      return `${place.source.file}: ${sourceText(place)}`;
    });
    expect(told).toEqual(['local: 4000', 'base: 1', 'local: x', 'base: api']);
  });
});
