import type { Argument, Command, Option } from 'commander';
import { COMMAND_EXAMPLES, PROGRAM_EXAMPLES, type Example } from './examples.js';
import { visibleChildren } from './completion/grammar.js';
import { grammarOnly } from './program.js';
import { limitsTable } from './relay-limits.js';

/** docs/reference/cli.md, read off the same tree that parses the command line. */
export function renderCliDocs(): string {
  const program = grammarOnly();
  const commands = leaves(program, '');
  return [
    '<!-- Generated from src/cli/program.ts by scripts/generate.mjs. Do not edit. -->',
    '# Command line',
    program.description(),
    exampleBlock(PROGRAM_EXAMPLES),
    OVERVIEW,
    ...commands.map(({ command, name }) => section(command, name)),
    BEHAVIOUR,
  ]
    .join('\n\n')
    .concat('\n');
}

interface Leaf {
  readonly command: Command;
  readonly name: string;
}

function leaves(command: Command, name: string): Leaf[] {
  return visibleChildren(command).flatMap((child) => {
    const fullName = `${name} ${child.name()}`.trim();
    return child.commands.length > 0 ? leaves(child, fullName) : [{ command: child, name: fullName }];
  });
}

function section(command: Command, name: string): string {
  const help = command.createHelp();
  const options = help.visibleOptions(command).filter((option) => option.long !== '--help');
  const syntax = [
    'portal',
    name,
    ...command.registeredArguments.map(argumentText),
    ...(options.length > 0 ? ['[options]'] : []),
  ];
  const rows = [
    ...command.registeredArguments.map((argument) =>
      row(argumentText(argument), argument.description, argument.argChoices),
    ),
    ...options.map((option) => row(option.flags, optionText(option), option.argChoices)),
  ];
  const table = rows.length > 0 ? ['| | |\n|---|---|', ...rows].join('\n') : '';
  return [
    `## portal ${name}`,
    sentence(command.description()),
    `\`\`\`sh\n${syntax.join(' ')}\n\`\`\``,
    table,
    name === 'relay' ? limitsTable() : '',
    exampleBlock(COMMAND_EXAMPLES[name] ?? []),
  ]
    .filter(Boolean)
    .join('\n\n');
}

function argumentText(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function optionText({ description, defaultValue, defaultValueDescription, negate }: Option): string {
  const isShown = defaultValue !== undefined && !negate;
  const shown = defaultValueDescription ?? String(defaultValue);
  return isShown ? `${description} (default: \`${shown}\`)` : description;
}

function row(term: string, description: string, choices: readonly string[] | undefined): string {
  const oneOf = choices ? `: ${choices.map((choice) => `\`${choice}\``).join(', ')}` : '';
  return `| \`${term}\` | ${description.replaceAll('|', '\\|')}${oneOf} |`;
}

function exampleBlock(examples: readonly Example[]): string {
  if (examples.length === 0) return '';
  return ['```sh', ...examples.flatMap(({ run, does }) => [`# ${does}`, run]), '```'].join('\n');
}

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

const OVERVIEW = `Every command takes \`--json\` (one JSON object a line on stdout) and \`--help\`. Results go to stdout, progress and
errors to stderr. \`-v\` prints each step and the causes of errors, \`-q\` results and errors only. On a terminal \`portal up\` and \`portal expose\`
show a live view with keys (\`?\` lists them); elsewhere, and with \`--plain\`, they print lines. \`NO_COLOR\` turns colours off. \`PORTAL_HOME\` moves everything that is kept on disk into one folder;
a relative one is below the current directory, and \`~/\` is your home. \`PORTAL_ALLOW=1\` allows what a portal.yaml asks for
([allow.md](../guides/allow.md)).`;

const BEHAVIOUR = `## Exit codes

| code | meaning |
|---|---|
| 0 | done; for \`portal up\`: stopped in order, by a signal or \`portal down\` |
| 1 | failed at run time |
| 2 | the command line or the configuration is wrong, or the configuration is not allowed |
| 3 | \`portal plan\` found changes |
| 129, 130, 143 | a second SIGHUP, SIGINT or SIGTERM cut the orderly stop short, or the first one the waiting of \`--wait\` |

## Background agents

\`portal up --detach\` returns once every service had its first try, \`portal up --wait\` once every one is ready; the
agent then runs on, and \`status\`, \`logs\` and \`down\` find it by its file. When a service fails for good, or \`--timeout\`
passes first, \`--wait\` stops the agent again and exits 1: nothing is left running that was not asked for.

\`portal status --wait-ready\` waits until the agent runs and visitors get through to each of its services. It exits 0 then, and prints a
\`ready\` event with \`--json\`; 1 when \`--timeout\` passes first (\`not_running\` or \`timeout\`, with the services that are not ready); 2 when the command
line or the configuration file is wrong. It asks the agent alone: a local service that is down does not count.

An agent that \`portal expose\` started has no file. In a folder without a portal.yaml, \`status\`, \`logs\` and \`down\`
speak to the only agent that runs. Where several run, they list them, and \`--pid PID\` chooses one. \`status --json\` prints a line for each.

## Events

With \`--json\`, a command prints one JSON object a line: [events.md](events.md) lists them.`;
