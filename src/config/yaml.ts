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

/** Every file that is written by hand, and what it may hold. */
export const MAX_FILE_BYTES = 1024 * 1024;
/** Levels of collections. The library recurses: thousands of them exhaust the stack, which can end the process. */
export const MAX_DEPTH = 64;
/** A pair of a key and a value has five. */
const MAX_TOKENS = 200_000;
/** Of this process, so that a busy machine fails no good file. */
const MAX_CPU_SECONDS = 10;
/** The time is looked at once in so many tokens. */
const LOOK_EVERY = 1_000;
/** A collection inside another has one entry on the parser's stack; the document itself has one as well. */
const MAX_STACK = MAX_DEPTH + 8;

/** A text beyond a limit. Nothing of it is used. */
export class YamlTooLarge extends Error {
  /** Where the limit is passed, in UTF-16 units. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

type ReadYamlOptions = ParseOptions & DocumentOptions & SchemaOptions;

/**
 * The first document of a text, as `parseDocument` reads it, within limits of depth, tokens and time. Throws `YamlTooLarge`.
 */
export function readYaml(text: string, options: ReadYamlOptions): Document.Parsed {
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
  const before = process.cpuUsage();
  let count = 0;
  for (const token of new Lexer().lex(text)) {
    if (token.trim() !== '' && (count += 1) > MAX_TOKENS)
      throw new YamlTooLarge('the file has too many values', parser.offset);
    if (count % LOOK_EVERY === 0 && process.cpuUsage(before).user > MAX_CPU_SECONDS * 1e6)
      throw new YamlTooLarge(`reading the file takes longer than ${MAX_CPU_SECONDS} s`, parser.offset);
    yield* parser.next(token);
    if (parser.stack.length > MAX_STACK)
      throw new YamlTooLarge(`nested more than ${MAX_DEPTH} levels deep`, parser.offset);
  }
  yield* parser.end();
}
