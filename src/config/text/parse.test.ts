import { describe, expect, it } from 'vitest';
import { parse } from './parse.js';
import { Source, sourceText } from './source.js';
import { placeOf, toValue } from './tree.js';

function value(text: string): unknown {
  const { tree, findings } = parse(new Source('x', text));
  expect(findings).toEqual([]);
  return toValue(tree);
}

function complaints(text: string): string[] {
  return parse(new Source('x', text)).findings.map(({ place, message }) => {
    const { line, column } = place.source.position(place.start);
    return `${line}:${column} ${message}`;
  });
}

describe('parse', () => {
  it('reads YAML 1.2: no octal, no yes and no', () => {
    expect(value('a: 010\nb: yes\nc: 0x10\nd: 1.5\ne: ~\nf: "1"\ng: true')).toEqual({
      a: 10,
      b: 'yes',
      c: 16,
      d: 1.5,
      e: null,
      f: '1',
      g: true,
    });
  });

  it('keeps keys as written', () => {
    expect(value('1.10: a\ntrue: b\n"x y": c')).toEqual({ '1.10': 'a', true: 'b', 'x y': 'c' });
  });

  it('resolves aliases and merge keys: explicit keys win, then earlier sources', () => {
    const text = 'a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\nd: {<<: *a}\ne: *b';
    expect(value(text)).toMatchObject({ c: { x: 0, y: 1, z: 2 }, d: { x: 1, y: 1 }, e: { y: 2, z: 2 } });
  });

  it('uses the nearest anchor above an alias', () => {
    expect(value('a: &x 1\nb: *x\nc: &x 2\nd: *x')).toEqual({ a: 1, b: 1, c: 2, d: 2 });
  });

  it('records the position of every value', () => {
    const { tree } = parse(new Source('x', 'services:\n  web: "3000"\n  api:\n    target: a:1\n'));
    const told = [
      ['services', 'web'],
      ['services', 'api'],
      ['services', 'api', 'target'],
      ['services', 'none'],
    ];
    expect(told.map((path) => sourceText(placeOf(tree, path)))).toEqual(['"3000"', 'api', 'a:1', 'services']);
  });

  it.each([
    ['a: 1\nb: 2\na: 3', ['3:1 the key "a" is a duplicate of line 1']],
    ['a: {"b": 1, b: 2}', ['1:13 the key "b" is a duplicate of line 1']],
    ['a: *none', ['1:4 this alias has no anchor above it']],
    ['a: &a [*a]', ['1:8 this alias refers to a value that contains it']],
    ['<<: 1', ['1:1 `<<` takes a mapping, or a list of mappings']],
    ['? [a]\n: 1', ['1:3 a key must be plain text']],
    ['__proto__: 1', ['1:1 this key is not allowed']],
    ['a: !secret x', ['1:4 unknown tag']],
    ['a:\n\t- 1', ['2:1 a tab is used for indentation']],
    ['a: 1\n---\nb: 2', ['2:1 a second document begins here']],
    ['a: [1\nb: "x', ['1:4 this list has no closing `]`', '2:4 this quote is not closed']],
    ['a: 1\nbad: [\n', ['2:6 this list has no closing `]`']],
    ['[1', ['1:1 this list has no closing `]`']],
    ['a:\n  b: { c: 1\n  d: [2]', ['2:6 this mapping has no closing `}`']],
    ['a: [[1], [2\nb: 1', ['1:10 this list has no closing `]`']],
    ['a:\n  b:\n    c: 1\n   dd: 2', ['4:4 this key is not aligned with the others']],
  ])('%j is rejected', (text, messages) => {
    expect(complaints(text)).toEqual(messages);
  });

  it('explains a variable that needs quotes inside brackets', () => {
    const { findings } = parse(new Source('x', 'a: [1, ${X}]'));
    expect(findings[0]?.hint).toBe('Inside [ ] and { }, a value with ${…} needs quotes: "${NAME}".');
  });

  it.each([
    ['brackets without end', '['.repeat(500_000)],
    ['mappings in one line without end', 'a: ['.repeat(50_000)],
    ['lists in one line without end', '- '.repeat(100_000)],
    ['keys of keys without end', '? '.repeat(100_000)],
    ['quotes without end', '"'.repeat(100_000)],
    ['closing brackets without end', ']'.repeat(500_000)],
    ['collections without end', '{}'.repeat(500_000)],
    ['deep nesting', '[['.repeat(100) + ']]'.repeat(100)],
    [
      'aliases that multiply',
      `a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n${Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(',')}]`).join('\n')}`,
    ],
  ])('rejects %s with limited time and memory', (_what, text) => {
    expect(complaints(text).length).toBeGreaterThan(0);
  });

  it.each([
    ['pairs', 'k: 1\n'.repeat(40_000)],
    ['blank lines', '\n'.repeat(250_000)],
    ['comments', '#\n'.repeat(150_000)],
  ])('rejects too many %s, with the fix', (_what, text) => {
    const { broken, findings } = parse(new Source('x', text));
    expect(broken).toBe(true);
    expect(findings).toMatchObject([
      {
        message: 'the file has too many values or lines',
        hint: expect.stringContaining('Split it') as string,
      },
    ]);
  });

  it('stops at a thousand syntax errors, and reports a hundred', () => {
    expect(complaints('}\n'.repeat(60_000))).toHaveLength(100);
  });

  it('points at the level that is too deep', () => {
    expect(complaints(`version: 1\nservices:\n  a: ${'['.repeat(200_000)}`)).toEqual([
      expect.stringMatching(/^3:7\d nested more than 64 levels deep$/),
    ]);
  });

  it('lets a thousand services share one anchor', () => {
    const shared = Array.from({ length: 1000 }, (_, index) => `  s${index}: { <<: *d }`).join('\n');
    expect(complaints(`d: &d { target: 1 }\ns:\n${shared}`)).toEqual([]);
  });
});
