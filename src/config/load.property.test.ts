import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatProblem } from './text/frame.js';
import { loadConfig } from './load.js';

const WORDS = [
  'version',
  'services',
  'relays',
  'urls',
  'chains',
  'target',
  'mode',
  'access',
  'pin',
  'routes',
  '<<',
];
const MARKS = [
  ': ',
  ':',
  '\n',
  '\n  ',
  '\n    ',
  '- ',
  '{',
  '}',
  '[',
  ']',
  ', ',
  '"',
  "'",
  '&a ',
  '*a',
  '|',
  '>',
  '#',
  '!t ',
  '\t',
  '---',
];
const VALUES = [
  '1',
  '3000',
  '70000',
  'null',
  '~',
  'true',
  'https://a.example.com',
  '${A}',
  '${B:-x}',
  '${',
  '$$',
];

/** Text that is almost a configuration: its words in any order, with YAML's punctuation between them. */
const nearly = fc
  .array(fc.oneof(fc.constantFrom(...WORDS, ...MARKS, ...VALUES), fc.string({ maxLength: 3 })), {
    maxLength: 60,
  })
  .map((parts) => parts.join(''));

/** Faults in the messages about a text; empty if there is no fault. */
async function flawsOf(text: string, variable = ''): Promise<string[]> {
  const result = await loadConfig({
    file: '-',
    cwd: '/nowhere',
    env: { A: variable },
    stdin: async () => text,
  });
  if (result.ok) return [];
  if (result.problems.length === 0) return ['refused without a reason'];
  return result.problems
    .filter(({ line, column, message }) => !(line > 0 && column > 0) || message === '')
    .concat(
      result.problems.filter(({ message, hint }) =>
        /undefined|NaN|\[object/.test(`${message} ${hint ?? ''}`),
      ),
    )
    .map((problem) => formatProblem(problem, { color: false }));
}

it('never throws, whatever the text', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(nearly, fc.string({ unit: 'binary' })), async (text) => {
      expect(await flawsOf(text)).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});

it('never throws, whatever the document', async () => {
  const known = fc.constantFrom(
    'version',
    'services',
    'relays',
    'urls',
    'target',
    'mode',
    'access',
    'pin',
    'routes',
    'tls',
    'web',
    '/',
  );
  const { document } = fc.letrec((tie) => ({
    document: fc.oneof(
      { depthSize: 'medium' },
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('document'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(known, fc.string()), tie('document'), { maxKeys: 5 }),
    ),
  }));
  await fc.assert(
    fc.asyncProperty(document, fc.string(), async (value, variable) => {
      const text = JSON.stringify({
        version: 1,
        services: { a: value, b: '${A}' },
        relays: value,
        chains: value,
      });
      expect(await flawsOf(text, variable)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

it('survives a mapping with its own toString in place of a word', async () => {
  expect(await flawsOf('version: 1\nservices: { a: { target: 1, mode: { toString: 0 } } }')).toEqual([]);
});
