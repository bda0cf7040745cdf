import type { CommanderError } from 'commander';
import { listOf } from '../../config/words/suggest.js';

/** Rewrites errors of the command line's parser, which uses its own terms and puts the hint into the message. */

interface Words {
  readonly message: string;
  readonly hint?: string;
}

/** Commands that take no argument, or fewer than users give them. */
const HINTS: Readonly<Record<string, string>> = {
  down: 'To stop one service, remove it from portal.yaml and save the file.',
  init: 'Name the port with `--port PORT`, or the file of another program with `--from FILE`.',
};

const REWRITES: readonly (readonly [RegExp, (...groups: string[]) => Words])[] = [
  [
    /^option '(.+?)' argument '(.*)' is invalid\.(?: (.*))?$/s,
    (flags, value, advice) => words(`${longName(flags)}: ${JSON.stringify(value)} is invalid`, advice),
  ],
  [
    /^command-argument value '(.*)' is invalid for argument '(.+?)'\.(?: (.*))?$/s,
    (value, name, advice) => words(`${JSON.stringify(value)} is not a valid <${name}>`, advice),
  ],
  [
    /^option '(.+?)' argument missing$/,
    (flags) => ({ message: `${longName(flags)} needs a value: ${flags.replace(/^-\w, /, '')}` }),
  ],
  [/^missing required argument '(.+?)'$/, (name) => ({ message: `<${name}> is missing` })],
  [
    /^too many arguments for '(.+?)'\. Expected (\d+) arguments? but got (\d+)(?:\.|:).*$/s,
    (command, most, got) => ({
      ...(HINTS[command] !== undefined && { hint: HINTS[command] }),
      message:
        most === '0'
          ? `\`${command}\` takes no arguments`
          : `\`${command}\` takes ${most} ${most === '1' ? 'argument' : 'arguments'}, and got ${got}`,
    }),
  ],
];

/** The message of the parser is "error: what\n(Did you mean …?)". */
export function rewriteParserError({ message }: Pick<CommanderError, 'message'>): Words {
  const [what = '', suggestion] = message.replace(/^error: /, '').split('\n');
  for (const [pattern, rewrite] of REWRITES) {
    const match = pattern.exec(what);
    if (match) return rewrite(...match.slice(1));
  }
  return words(
    what,
    suggestion?.replace(/^\(|\)$/g, '').replace(/^(Did you mean (?:one of )?)(.+)\?$/, suggest),
  );
}

/** Puts each suggested name in backticks. */
const suggest = (_: string, question: string, names: string): string =>
  `${question}${names
    .split(', ')
    .map((name) => `\`${name}\``)
    .join(', ')}?`;

function words(message: string, advice: string | undefined): Words {
  const choices = /^Allowed choices are (.+)\.$/.exec(advice ?? '')?.[1]?.split(', ');
  const hint = choices ? `Use ${listOf(choices)}.` : advice;
  return hint === undefined ? { message } : { message, hint };
}

/** `--limit` of `-n, --limit <number>`. */
const longName = (flags: string): string => /--[\w-]+/.exec(flags)?.[0] ?? flags;
