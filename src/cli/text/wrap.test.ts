import { expect, it } from 'vitest';
import { wrapCommand, wrapWords } from './wrap.js';

const dim = (text: string): string => `\u001B[2m${text}\u001B[22m`;

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

it('puts a command at the end of a long sentence on a line of its own, where it copies as one command', () => {
  const command = 'portal connect db.example.com --identity 0x371531b8';
  const line = `db is private; others reach it with: ${command}`;
  expect(wrapWords(line, 100)).toBe(line);
  expect(wrapWords(line, 60)).toBe(`db is private; others reach it with:\n${command}`);
  expect(wrapWords(`  ${line}`, 60)).toBe(`  db is private; others reach it with:\n  ${command}`);
  expect(wrapWords(line, 40)).toBe(
    'db is private; others reach it with:\nportal connect db.example.com \\\n  --identity 0x371531b8',
  );
  expect(wrapWords(dim(line), 60)).toBe(`${dim('db is private; others reach it with:')}\n${dim(command)}`);
});

it('repeats the name of the program that printed a line', () => {
  const prefix = '\u001B[36mapp/api |\u001B[39m';
  expect(wrapWords(`${prefix} at Function.run (node:internal)`, 28)).toBe(
    `${prefix} at Function.run\n${prefix} (node:internal)`,
  );
});

it('breaks a sentence with several commands between them', () => {
  expect(wrapWords('in the background: portal status, portal logs -f, portal down', 40)).toBe(
    'in the background: portal status,\nportal logs -f, portal down',
  );
});

it('puts continuation lines beside a mark, not below it', () => {
  expect(wrapWords('  ✓ two three four', 13)).toBe('  ✓ two three\n    four');
  expect(wrapWords(`  ${dim('!')} two three four`, 13)).toBe(`  ${dim('!')} two three\n    four`);
});

it('keeps the indentation of a line with style', () => {
  expect(wrapWords(dim('  two three four'), 11)).toBe(`  ${dim('two three')}\n  ${dim('four')}`);
});

it('keeps the indentation of a command', () => {
  const command = "    sudo cp '/a b/c.pem' /usr/local/share/ca-certificates";
  expect(wrapCommand(command, 60)).toBe(command);
  expect(wrapCommand(command, 34)).toBe("    sudo cp '/a b/c.pem' \\\n/usr/local/share/ca-certificates");
  expect(wrapCommand(command, 44)).toBe(
    "    sudo cp '/a b/c.pem' \\\n      /usr/local/share/ca-certificates",
  );
});

const FRAME = [
  '    4 | services:',
  '  > 5 |   admin: { mode: http, target: 99999, tls: acme }',
  `      | ${' '.repeat(31)}^^^^^`,
  '    6 |',
];

it.each([60, 80])('keeps lines of a file whole that fit into %i columns', (columns) => {
  expect(wrapWords(FRAME.join('\n'), columns)).toBe(FRAME.join('\n'));
});

it('cuts lines of a file, with the marks below what they are about', () => {
  expect(wrapWords(`a.yaml:5: wrong\n${FRAME.join('\n')}\n  hint: right`, 50).split('\n')).toEqual([
    'a.yaml:5: wrong',
    '    4 | services:',
    '  > 5 |   admin: { mode: http, target: 99999, tls…',
    `      | ${' '.repeat(31)}^^^^^`,
    '    6 |',
    '  hint: right',
  ]);
  expect(wrapWords(FRAME.join('\n'), 30).split('\n')).toEqual([
    '    4 | …',
    '  > 5 | … http, target: 99999…',
    `      | ${' '.repeat(16)}^^^^^`,
    '    6 |',
  ]);
});

const dimLine = (text: string): string => `  ${dim(text)}`;

it('cuts lines of a file with their style', () => {
  expect(
    wrapWords([dimLine('  4 | name: a-long-value'), `  > 5 |   x`, dimLine('    |   ^')].join('\n'), 14),
  ).toBe([dimLine('  4 | name:…'), '  > 5 |   x', dimLine('    |   ^')].join('\n'));
});

it('changes nothing without a terminal', () => {
  expect(wrapWords('one two three', Infinity)).toBe('one two three');
});

it.each([
  ['trust it: portal trust --install', 'trust it:\nportal trust --install'],
  ['to stop: run `portal down -f a.yaml`', 'to stop: run\n`portal down -f a.yaml`'],
  ['keep a copy: portal identity export', 'keep a copy:\nportal identity export'],
  ['it runs with `one very long command in quotes`', 'it runs with `one very\nlong command in quotes`'],
])('keeps a command in a sentence whole: %s', (text, wrapped) => {
  expect(wrapWords(text, 24)).toBe(wrapped);
});
