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

it('changes nothing without a terminal', () => {
  expect(wrapWords('one two three', Infinity)).toBe('one two three');
});
