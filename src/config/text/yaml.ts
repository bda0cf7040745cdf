import {
  Composer,
  Lexer,
  Parser,
  YAMLParseError,
  type Document,
  type DocumentOptions,
  type LineCounter,
  type ParseOptions,
  type SchemaOptions,
} from 'yaml';

/** For every hand-written file. */
export const MAX_FILE_BYTES = 1024 * 1024;
/**
 * Levels of nesting. The library recurses, and thousands of levels would exhaust the stack, which can end the
 * process.
 */
export const MAX_DEPTH = 64;
/** Counts line ends: a file with only line ends takes as long. A key and its value have six tokens. */
const MAX_TOKENS = 170_000;
const SPACES = /^[ \t]+$/;
/** Each message costs more than its cause, and no one reads more than this. */
const MAX_ERRORS = 1_000;
/** Each nested collection has one entry on the parser's stack, and so has the document. */
const MAX_STACK = MAX_DEPTH + 8;

/** A text over a limit. Portal uses no part of it. */
export class YamlTooLarge extends Error {
  /** Where the text exceeds the limit, in UTF-16 units. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

type ReadYamlOptions = ParseOptions & DocumentOptions & SchemaOptions;

/**
 * Parses the first document of a text like `parseDocument`, within limits of depth, tokens and errors, which also
 * limit the time. Throws `YamlTooLarge`.
 */
export function readYaml(text: string, options: ReadYamlOptions): Document.Parsed {
  // Errors are cheap without a stack, and there may be many.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return firstOf(text, options);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function firstOf(text: string, options: ReadYamlOptions): Document.Parsed {
  const composer = new Composer(options);
  let first: Document.Parsed | undefined;
  for (const document of composer.compose(tokens(text, options.lineCounter), true, text.length)) {
    if (!first) {
      first = document;
      continue;
    }
    const [start, end] = document.range;
    first.errors.push(new YAMLParseError([start, end], 'MULTIPLE_DOCS', 'a second document'));
    break;
  }
  return first!;
}

function* tokens(text: string, lines: LineCounter | undefined): ReturnType<Parser['parse']> {
  const parser = new Parser(lines?.addNewLine);
  lines?.addNewLine(0);
  let count = 0;
  let errors = 0;
  for (const token of new Lexer().lex(text)) {
    if (!SPACES.test(token) && (count += 1) > MAX_TOKENS)
      throw new YamlTooLarge('the file has too many values or lines', parser.offset);
    for (const read of parser.next(token)) {
      yield read;
      if (read.type === 'error' && (errors += 1) === MAX_ERRORS) return;
    }
    if (parser.stack.length > MAX_STACK)
      throw new YamlTooLarge(`nested more than ${MAX_DEPTH} levels deep`, parser.offset);
  }
  yield* parser.end();
}
