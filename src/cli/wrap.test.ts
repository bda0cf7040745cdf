import { expect, it } from 'vitest';
import { wrapWords } from './wrap.js';

it('breaks lines between words, with the indentation of the line', () => {
  expect(wrapWords('created an identity; keep a copy', 20)).toBe('created an identity;\nkeep a copy');
  expect(wrapWords('one\n  two three four', 11)).toBe('one\n  two three\n  four');
});

it('keeps a URL whole', () => {
  const url = `https://${'a'.repeat(30)}.example.com`;
  expect(wrapWords(`open ${url} now`, 20)).toBe(`open\n${url}\nnow`);
});

it('breaks a command between arguments, so that a shell still reads one command', () => {
  const command = "try: curl --cacert '/a b/it'\\''s.pem' https://web.example.com";
  expect(wrapWords(command, 80)).toBe(command);
  expect(wrapWords(command, 40)).toBe("try: curl --cacert '/a b/it'\\''s.pem' \\\n  https://web.example.com");
  expect(wrapWords(command, 24)).toBe(
    "try: curl --cacert \\\n  '/a b/it'\\''s.pem' \\\nhttps://web.example.com",
  );
});

const dim = (text: string): string => `\u001B[2m${text}\u001B[22m`;

it('puts continuation lines beside a mark, not below it', () => {
  expect(wrapWords('  ✓ two three four', 13)).toBe('  ✓ two three\n    four');
  expect(wrapWords(`  ${dim('!')} two three four`, 13)).toBe(`  ${dim('!')} two three\n    four`);
});

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
