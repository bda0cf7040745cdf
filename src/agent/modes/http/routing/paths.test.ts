import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isUnder, isWellFormed, readLeniently } from './paths.js';

describe('the most lenient interpretation of a path', () => {
  it('is the path itself if there is only one interpretation', () => {
    for (const path of ['/', '/api', '/api/x-y_z~/', '/a.b', '/a..b', "/a!$&'()*+,=:@"])
      expect(readLeniently(path)).toBe(path);
  });

  it('decodes once, and treats every known slash as a slash', () => {
    expect(readLeniently('/%61pi')).toBe('/api');
    expect(readLeniently('/a%2Fb\\c//d;e=f/g')).toBe('/a/b/c/d/g');
    expect(readLeniently('/%2561')).toBe('/%61');
    expect(readLeniently('/%zz%')).toBe('/%zz%');
  });

  it('recognises dot segments in any notation', () => {
    const dot = fc.constantFrom('.', '%2e', '%2E');
    const slash = fc.constantFrom('/', '%2f', '%2F', '\\', '%5c', '%5C');
    const params = fc.constantFrom('', ';', ';a=b', '%3b');
    fc.assert(
      fc.property(
        fc.array(dot, { minLength: 1, maxLength: 2 }),
        slash,
        slash,
        params,
        (dots, before, after, rest) => {
          expect(readLeniently(`/a${before}${dots.join('')}${rest}${after}b`)).toBeUndefined();
          expect(readLeniently(`/a${before}${dots.join('')}${rest}`)).toBeUndefined();
        },
      ),
    );
  });
});

it('a path is under a prefix on whole segments', () => {
  expect(['/a', '/a/', '/a/b', '/a?b', '/ab', '/b'].map((path) => isUnder(path, '/a'))).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
  expect(isUnder('/x', '')).toBe(true);
});

it('a request target contains no blanks, control characters or fragment', () => {
  expect(isWellFormed('/a?b=c%20d#'.slice(0, -1))).toBe(true);
  for (const target of ['', 'a', '/a b', '/a#b', '/a\nb', '/a\u007f', '*'])
    expect(isWellFormed(target)).toBe(false);
});
