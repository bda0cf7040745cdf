import type { CommandWords, OptionWords } from './grammar.js';
import { SERVICES_COMMAND } from './services.js';

export function fishCompletion(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap((command) => {
    const condition = conditionOf(command);
    return [
      ...command.subcommands.map(({ word, description }) =>
        complete(condition, `-a ${word} -d ${quote(description)}`),
      ),
      ...command.choices.map((choice) => complete(condition, `-a ${choice}`)),
      ...(command.takesServices ? [complete(condition, "-a '(__portal_services)'")] : []),
      ...command.options.map((option) => complete(condition, optionWords(option))),
    ];
  });
  return `# fish completion of portal; made by: portal completion fish
function __portal_services
    ${SERVICES_COMMAND} | string split ' '
end

complete -c portal -f
${lines.join('\n')}
`;
}

const complete = (condition: string, rest: string): string =>
  `complete -c portal -n ${quote(condition)} ${rest}`;

/** Matches while this command is typed: all of its words, and none of a subcommand. */
function conditionOf({ name, subcommands }: CommandWords): string {
  const seen = name
    .split(' ')
    .filter(Boolean)
    .map((word) => `__fish_seen_subcommand_from ${word}`);
  const unseen =
    subcommands.length > 0
      ? [`not __fish_seen_subcommand_from ${subcommands.map(({ word }) => word).join(' ')}`]
      : [];
  return [...seen, ...unseen].join('; and ');
}

function optionWords({ flags, description, value }: OptionWords): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const takes =
    value === 'none'
      ? ''
      : value === 'path'
        ? ' -r -F'
        : value === 'any'
          ? ' -x'
          : ` -x -a ${quote(value.join(' '))}`;
  return `${names.join(' ')}${takes} -d ${quote(description)}`;
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
