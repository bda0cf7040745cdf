import { Help, type Command, type HelpConfiguration } from 'commander';
import { PortalError } from '../../lib/errors.js';

/** `portal help`, and unknown commands. */

/** The least width for descriptions beside their terms. Otherwise they are below. */
const MIN_BESIDE = 40;
const BELOW = ' '.repeat(6);

/** The layout of help texts. On a narrow terminal, commander would not wrap descriptions. */
export const HELP_LAYOUT: HelpConfiguration = {
  showGlobalOptions: true,
  minWidthToWrap: 20,
  formatItem(term, termWidth, description, helper) {
    const { helpWidth = 80 } = helper;
    if (description === '' || helpWidth - termWidth - 4 >= MIN_BESIDE)
      return Help.prototype.formatItem.call(helper, term, termWidth, description, helper);
    const below = helper.boxWrap(description, helpWidth - BELOW.length).split('\n');
    return [`  ${term}`, ...below.map((line) => BELOW + line)].join('\n');
  },
};

/** Replaces commander's own `help`, which shows the program's help for an unknown command. */
export function addHelp(program: Command): void {
  program.helpCommand(false);
  program
    .command('help')
    .argument('[command...]', 'which command')
    .description('show help for a command')
    .action(async (names: string[]) => {
      let found = program;
      for (const name of names) {
        const next = found.commands.find((child) => child.name() === name);
        if (!next) await unknownCommand(found, name);
        else found = next;
      }
      found.help();
    });
}

/** Rejects unknown words after a group. Otherwise its default command would take the word as an argument. */
export function rejectUnknown(group: Command): void {
  group.helpCommand(false);
  group.hook('preSubcommand', async ({ args: [word], commands }) => {
    if (word === 'help') group.help();
    const isKnown = word === undefined || takesWord(group) || commands.some((child) => child.name() === word);
    if (!isKnown && !word.startsWith('-')) await unknownCommand(group, word);
  });
}

/** Whether a word that is no command is an argument of the default command. */
function takesWord(group: Command): boolean {
  const { _defaultCommandName: name } = group as unknown as { readonly _defaultCommandName?: string | null };
  return group.commands.some((child) => child.name() === name && child.registeredArguments.length > 0);
}

async function unknownCommand(parent: Command, word: string): Promise<never> {
  const { nearest } = await import('../../config/words/suggest.js');
  const names = parent.commands.map((child) => child.name());
  const meant = nearest(word, names);
  const all = `Commands: ${names.join(', ')}.`;
  const hint = meant !== undefined ? `Did you mean \`${meant}\`?` : parent.parent ? all : undefined;
  throw new PortalError('usage', `unknown command '${word}'`, hint === undefined ? {} : { hint });
}

/** The full name of the command that `argv` calls: `portal requests list`. */
export function commandNamed(program: Command, argv: readonly string[]): string {
  let found = program;
  const names = [program.name()];
  for (const word of argv) {
    if (word === 'help') continue;
    const next = found.commands.find((child) => child.name() === word);
    if (!next && word.startsWith('-')) continue;
    if (!next) break;
    found = next;
    names.push(word);
  }
  return names.join(' ');
}
