import { parseEnv } from 'node:util';

export interface Dotenv {
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Lines, from 1, that are neither an assignment nor a comment. They are left out. */
  readonly junk: readonly number[];
}

/** What an assignment begins with; the name may be one that other programs know and `${…}` does not. */
const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?[^\s=#]+[ \t]*=[ \t]*(["'`]?)/;
const NOTHING = /^\s*(?:#|$)/;

/** Reads a `.env`. Lines that say nothing are taken out first: Node's parser would join them with what follows. */
export function parseDotenv(text: string): Dotenv {
  const lines = text.split(/\r\n?|\n/);
  const junk: number[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at]!;
    const assignment = ASSIGNMENT.exec(line);
    if (assignment) at += linesQuoted(lines, at, assignment[0].length, assignment[1]!);
    else if (!NOTHING.test(line)) {
      junk.push(at + 1);
      lines[at] = '';
    }
  }
  return { values: parseEnv(lines.join('\n')), junk };
}

/** How many further lines a quoted value takes; none for a quote that is never closed. */
function linesQuoted(lines: readonly string[], at: number, from: number, quote: string): number {
  if (quote === '' || lines[at]!.includes(quote, from)) return 0;
  for (let end = at + 1; end < lines.length; end += 1) if (lines[end]!.includes(quote)) return end - at;
  return 0;
}
