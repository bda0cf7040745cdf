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
/** Line ends count: a file of nothing else takes as long. A pair of a key and a value has six. */
const MAX_TOKENS = 170_000;
const SPACES = /^[ \t]+$/;
/** Each message costs more than its cause, and nobody reads more than this. */
const MAX_ERRORS = 1_000;
/** Each nested collection has one entry on the parser's stack, and so has the document. */
const MAX_STACK = MAX_DEPTH + 8;

/** A text beyond a limit. Portal uses none of it. */
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
 * The first document of a text, as `parseDocument` reads it, within limits of depth, tokens and errors, which limit the time, too.
 * Throws `YamlTooLarge`.
 */
export function readYaml(text: string, options: ReadYamlOptions): Document.Parsed {
  // An error for each of many mistakes is cheap without its stack.
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
