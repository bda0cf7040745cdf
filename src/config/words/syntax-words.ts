/** The message and hint for a YAML syntax error. */
export interface SyntaxWords {
  readonly message: string;
  readonly hint?: string;
}

/**
 * Plainer messages for the YAML library's error codes. Other codes keep the library's message, without the text
 * quoted at its end, which may be a secret.
 */
export function syntaxWords(code: string, message: string): SyntaxWords {
  const known = BY_CODE[code] ?? BY_MESSAGE.find(({ test }) => test.test(message));
  if (known) return { message: known.message, ...(known.hint === undefined ? {} : { hint: known.hint }) };
  const token = /^Unexpected (\S+) (?:token|at node end)/.exec(message)?.[1];
  if (token !== undefined) {
    return {
      message: `unexpected ${TOKENS[token] ?? 'text'}`,
      hint: 'Check the indentation here and in the line above.',
    };
  }
  const head = code === 'MISSING_CHAR' ? message : message.replace(/: .*$/s, '');
  return { message: head.charAt(0).toLowerCase() + head.slice(1) };
}

const BY_CODE: Readonly<Record<string, SyntaxWords>> = {
  TAB_AS_INDENT: { message: 'a tab is used for indentation', hint: 'Indent YAML with spaces.' },
  MULTIPLE_DOCS: {
    message: 'a second document begins here',
    hint: 'Remove the `---`; a file holds one configuration.',
  },
  BAD_DQ_ESCAPE: {
    message: 'unknown escape sequence',
    hint: "Write `\\\\` for a backslash, or use 'single quotes'.",
  },
  TAG_RESOLVE_FAILED: { message: 'unknown tag', hint: 'Text that begins with `!` needs quotes.' },
  BAD_SCALAR_START: {
    message: 'plain text cannot begin with this character',
    hint: 'Put the value in quotes.',
  },
};

const BY_MESSAGE: readonly (SyntaxWords & { readonly test: RegExp })[] = [
  {
    test: /^Nested mappings are not allowed/,
    message: 'a second `: ` in one line',
    hint: 'A value with `: ` in it needs quotes; a mapping goes on the next line, indented.',
  },
  {
    test: /^Implicit (map )?keys need to be (on a single line|followed by)/,
    message: 'this is neither a key with its value nor the rest of the line above',
    hint: 'A key is followed by `: `; check the indentation, and quotes left open.',
  },
  {
    test: /^Flow sequence .*end with a \]/,
    message: 'this list has no closing `]`',
    hint: 'Add `]` after the last item. If it is there, indent its line.',
  },
  {
    test: /^Flow map .*end with a \}/,
    message: 'this mapping has no closing `}`',
    hint: 'Add `}` after the last value. If it is there, indent its line.',
  },
  {
    test: /^Missing closing ["']quote/,
    message: 'this quote is not closed',
    hint: 'Add the same quote at the end of the value.',
  },
  {
    test: /^All mapping items must start at the same column/,
    message: 'this key is not aligned with the others',
    hint: 'Use the same indentation for all keys of a mapping.',
  },
];

/** Names of tokens in the YAML library. */
const TOKENS: Readonly<Record<string, string>> = {
  'map-value-ind': '`:`',
  'seq-item-ind': '`-`',
  'explicit-key-ind': '`?`',
  'flow-map-start': '`{`',
  'flow-map-end': '`}`',
  'flow-seq-start': '`[`',
  'flow-seq-end': '`]`',
  comma: '`,`',
  'double-quoted-scalar': 'quoted text',
  'single-quoted-scalar': 'quoted text',
};
