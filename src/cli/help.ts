import type { Command } from 'commander';
import { PortalError } from '../lib/errors.js';

/** `portal help`, and words that are no command. */

/** Commander's own `help` answers a command that is not there with the help of the program. */
export function addHelp(program: Command): void {
  program.helpCommand(false);
  program
    .command('help')
    .argument('[command...]', 'which command')
    .description('print help of a command')
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

/** A group has a default command, which would take the word for an argument of its own. */
export function rejectUnknown(group: Command): void {
  group.helpCommand(false);
  group.hook('preSubcommand', async ({ args: [word], commands }) => {
    if (word === 'help') group.help();
    const isKnown = word === undefined || commands.some((child) => child.name() === word);
    if (!isKnown && !word.startsWith('-')) await unknownCommand(group, word);
  });
}

async function unknownCommand(parent: Command, word: string): Promise<never> {
  const { nearest } = await import('../config/suggest.js');
  const names = parent.commands.map((child) => child.name());
  const meant = nearest(word, names);
  const all = `It has: ${names.join(', ')}.`;
  const hint = meant !== undefined ? `Did you mean ${meant}?` : parent.parent ? all : undefined;
  throw new PortalError('usage', `unknown command '${word}'`, hint === undefined ? {} : { hint });
}

/** The command that these arguments are for, in full: `requests list`. */
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
