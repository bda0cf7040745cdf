import type { CommandWords, OptionWords } from './grammar.js';

/** The parts that bash and zsh share: the branches of a `case` over the words typed so far. */

/** `"parent/word")`, with the full name of the command that the two words form. */
export function commandCases({ name, subcommands }: CommandWords): string[] {
  return subcommands.map(({ word }) => `      "${name}/${word}") command="${`${name} ${word}`.trim()}" ;;`);
}

/** `"command/--flag")`, with the shell code of `valueWords` that completes the flag's value. */
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
