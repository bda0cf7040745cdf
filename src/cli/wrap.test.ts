import { expect, it } from 'vitest';
import { wrapWords } from './wrap.js';

it('breaks lines between words, with the indentation of the line', () => {
  expect(wrapWords('created an identity; keep a copy', 20)).toBe('created an identity;\nkeep a copy');
  expect(wrapWords('one\n  two three four', 11)).toBe('one\n  two three\n  four');
});

it('keeps a URL and a command whole', () => {
  const url = `https://${'a'.repeat(30)}.example.com`;
  expect(wrapWords(`open ${url} now`, 20)).toBe(`open\n${url}\nnow`);
  expect(wrapWords(`try: curl --cacert /tmp/ca.pem ${url}`, 20)).toBe(
    `try: curl --cacert /tmp/ca.pem ${url}`,
  );
});

const dim = (text: string): string => `\u001B[2m${text}\u001B[22m`;

it('keeps the indentation of a line with style', () => {
  expect(wrapWords(dim('  two three four'), 11)).toBe(`  ${dim('two three')}\n  ${dim('four')}`);
});

it('keeps lines of a file whole', () => {
  const frame = '  > 5 |   admin: 99999 99999\n      |          ^^^^^ ^^^^^';
  expect(wrapWords(frame, 20)).toBe(frame);
});

it('changes nothing without a terminal', () => {
  expect(wrapWords('one two three', Infinity)).toBe('one two three');
});
