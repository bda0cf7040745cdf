import type { Command, Option } from 'commander';

/** The command tree for completion scripts. */
export interface CommandWords {
  /** Full name without `portal`, for example `identity show`. '' for `portal` itself. */
  readonly name: string;
  readonly subcommands: readonly Word[];
  readonly options: readonly OptionWords[];
  /** The fixed values of its argument. */
  readonly choices: readonly string[];
  /** Whether its arguments are names of services. */
  readonly takesServices: boolean;
}

interface Word {
  readonly word: string;
  readonly description: string;
}

export interface OptionWords {
  /** As typed, `-f` and `--file`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly value: 'none' | 'any' | 'path' | readonly string[];
}

/** Recognises values that are paths, by the option's placeholder. */
const PATH_VALUE = /<(file|folder)>/;

/** Every command, `portal` itself first. */
export function commandWords(program: Command): CommandWords[] {
  // `portal --json up` equals `portal up --json`, so each command repeats the shared options. It has its own --help.
  const shared = optionsOf(program).filter(({ flags }) => flags.includes('--json'));
  const visit = (command: Command, name: string): CommandWords[] => {
    const visible = command.createHelp().visibleCommands(command);
    const own = command === program ? optionsOf(program) : [...optionsOf(command), ...shared];
    const argument = command.registeredArguments[0];
    return [
      {
        name,
        subcommands: visible.map((child) => ({ word: child.name(), description: child.description() })),
        options: own,
        choices: argument?.argChoices ?? [],
        takesServices: argument?.name() === 'services' || argument?.name() === 'service',
      },
      ...visibleChildren(command).flatMap((child) => visit(child, `${name} ${child.name()}`.trim())),
    ];
  };
  return visit(program, '');
}

/** The subcommands that are not hidden, without `help`. */
export function visibleChildren(command: Command): Command[] {
  const visible = command.createHelp().visibleCommands(command);
  return command.commands.filter((child) => visible.includes(child) && child.name() !== 'help');
}

function optionsOf(command: Command): OptionWords[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined),
      description: option.description,
      value: valueOf(option),
    }));
}

function valueOf(option: Option): OptionWords['value'] {
  if (option.argChoices) return option.argChoices;
  if (!option.required) return 'none';
  return PATH_VALUE.test(option.flags) ? 'path' : 'any';
}
