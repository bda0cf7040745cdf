/** More words than this are hard to follow. A code span counts as one word, and so does a quotation. */
const MAX_WORDS = 30;

const CODE = /`[^`]+`/g;

/**
 * The sentences of a Markdown text that are too long, as {line, words}. `line` is where their paragraph begins. A
 * paragraph, an item of a list and a cell of a table end a sentence. Code and lists of code spans do not count.
 */
export function longSentences(markdown) {
  return paragraphs(markdown).flatMap(({ line, text }) =>
    text
      .split(/(?<=[.!?](?:\*\*)?["”)]?)\s+(?=["“*`[(<\p{Lu}])/u)
      .map((sentence) => ({ line, words: wordsOf(sentence), codes: sentence.match(CODE)?.length ?? 0 }))
      .filter(({ words, codes }) => words > MAX_WORDS && codes * 2 < words)
      .map(({ words }) => ({ line, words })),
  );
}

function wordsOf(sentence) {
  const plain = sentence
    .replaceAll(CODE, 'code')
    .replaceAll(/"[^"]+"/g, 'quotation')
    .replaceAll(/\]\([^)]*\)/g, ']');
  return plain.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

/** Paragraphs, items and cells, with the line where each begins. */
function paragraphs(markdown) {
  const found = [];
  let isCode = false;
  let isOpen = false;
  for (const [index, line] of markdown.split('\n').entries()) {
    if (/^\s*```/.test(line)) isCode = !isCode;
    const isText = !isCode && !/^\s*(?:```|#|<!--|$)/.test(line);
    const isRow = line.startsWith('|');
    const begins = isRow || /^\s*(?:[-*]|\d+\.) /.test(line);
    const texts = isRow ? line.split(/(?<!\\)\|/) : [line];
    if (isText && isOpen && !begins) found.at(-1).text += ` ${line.trim()}`;
    else if (isText) found.push(...texts.map((text) => ({ line: index + 1, text: text.trim() })));
    isOpen = isText && !isRow;
  }
  return found;
}
