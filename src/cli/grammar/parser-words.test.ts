import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { expect, it } from 'vitest';
import { rewriteParserError } from './parser-words.js';

const reject = (): never => {
  throw new InvalidArgumentError('Use a number.');
};

/** The error that the parser throws for these arguments. */
function errorFor(...argv: string[]): CommanderError {
  const program = new Command('portal').exitOverride().configureOutput({ writeErr: () => undefined });
  program
    .command('replay')
    .addArgument(new Argument('<id>').argParser(reject))
    .action(() => undefined);
  program
    .command('list')
    .addOption(new Option('-n, --limit <number>').argParser(reject))
    .addOption(new Option('--format <format>').choices(['text', 'markdown']))
    .addOption(new Option('--plain').conflicts('format'))
    .action(() => undefined);
  for (const name of ['init', 'down']) program.command(name).action(() => undefined);
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(() => undefined);
  try {
    program.parse(argv, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

it.each([
  [['replay', 'zzz'], '"zzz" is not a valid <id>', 'Use a number.'],
  [['list', '--limit', "it's"], '--limit: "it\'s" is invalid', 'Use a number.'],
  [['list', '--format', 'xml'], '--format: "xml" is invalid', 'Use text or markdown.'],
  [['completion', 'tcsh'], '"tcsh" is not a valid <shell>', 'Use bash, zsh or fish.'],
  [['list', '--limit'], '--limit needs a value: --limit <number>', undefined],
  [['replay'], '<id> is missing', undefined],
  [['list', 'a'], '`list` takes no arguments', undefined],
  [
    ['down', 'web'],
    '`down` takes no arguments',
    'To stop one service, remove it from portal.yaml and save the file.',
  ],
  [
    ['init', '3000'],
    '`init` takes no arguments',
    'Name the port with `--port PORT`, or the file of another program with `--from FILE`.',
  ],
  [['completion', 'bash', 'b', 'c'], '`completion` takes 1 argument, and got 3', undefined],
  [['list', '--lmit', '3'], "unknown option '--lmit'", 'Did you mean `--limit`?'],
  [
    ['list', '--plain', '--format', 'text'],
    "option '--plain' cannot be used with option '--format <format>'",
    undefined,
  ],
])('%j gets plain words', (argv, message, hint) => {
  expect(rewriteParserError(errorFor(...argv))).toEqual(hint === undefined ? { message } : { message, hint });
});

it('puts each suggested name in backticks', () => {
  const message = "error: unknown option '--tcp-add'\n(Did you mean one of --tcp-addr, --udp-addr?)";
  expect(rewriteParserError({ message }).hint).toBe('Did you mean one of `--tcp-addr`, `--udp-addr`?');
});
