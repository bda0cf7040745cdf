import type { CommandWords, OptionWords } from './grammar.js';

/** What bash and zsh say alike: the branches of a `case` over the words typed so far. */

/** `"parent/word")` to the full name of the command that the two make. */
export function commandCases({ name, subcommands }: CommandWords): string[] {
  return subcommands.map(({ word }) => `      "${name}/${word}") command="${`${name} ${word}`.trim()}" ;;`);
}

/** `"command/--flag")` to the shell's own way of completing that flag's value, which `valueWords` writes. */
export function valueCases(
  { name, options }: CommandWords,
  valueWords: (option: OptionWords) => string,
): string[] {
  return options
    .filter(({ value }) => value !== 'none')
    .map((option) => {
      const pattern = option.flags.map((flag) => `"${name}/${flag}"`).join(' | ');
      return `    ${pattern}) ${valueWords(option)}return ;;`;
    });
}
