import { describe, expect, it } from 'vitest';
import { RULES } from '../scripts/words/rules.mjs';
import { longSentences } from '../scripts/words/sentences.mjs';

describe('the words that `npm run words` flags', () => {
  it.each(RULES)('flags "$wrong", not "$right"', ({ pattern, wrong, right }) => {
    expect(pattern.test(wrong)).toBe(true);
    expect(pattern.test(right)).toBe(false);
  });
});

const words = (count: number): string => Array.from({ length: count }, () => 'word').join(' ');

describe('the sentences that `npm run words` flags', () => {
  it('have more than 30 words, wherever their lines break', () => {
    expect(longSentences(`# Title\n\n${words(20)}\n${words(11)}.`)).toEqual([{ line: 3, words: 31 }]);
    expect(longSentences(`${words(30)}. **${words(30)}.** Then ${words(29)}.`)).toEqual([]);
  });

  it('end with a paragraph, an item and a cell', () => {
    const [half, row] = [words(20), `| ${words(20)} | ${words(20)} |`];
    expect(longSentences(`${half}\n\n${half}\n- ${half}\n  1. ${half}\n${row}\n${row}`)).toEqual([]);
    expect(longSentences(`- ${half}\n  ${half}`)).toEqual([{ line: 1, words: 40 }]);
  });

  it('count a code span, a quotation and a link by its text', () => {
    const long = `\`${words(40)}\` "${words(40)}" [a link](${'path/'.repeat(40)})`;
    expect(longSentences(`${words(26)} ${long}`)).toEqual([]);
    expect(longSentences(`${words(27)} ${long}`)).toEqual([{ line: 1, words: 31 }]);
  });

  it('are not code or lists of code', () => {
    expect(longSentences(`\`\`\`sh\n${words(40)}\n\`\`\`\n\n${'`x`, '.repeat(40)}`)).toEqual([]);
  });
});
