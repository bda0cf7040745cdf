import type { Argument, Command, Option } from 'commander';
import { COMMAND_EXAMPLES, PROGRAM_EXAMPLES, type Example } from '../grammar/examples.js';
import { visibleChildren } from '../completion/grammar.js';
import { grammarOnly } from '../grammar/program.js';
import { limitsTable } from '../relay/limits.js';

/** docs/reference/cli.md, read off the same tree that parses the command line. */
export function renderCliDocs(): string {
  const program = grammarOnly();
  const commands = leaves(program, '');
  return [
    '<!-- Generated from src/cli/grammar/program.ts by scripts/generate.mjs. Do not edit. -->',
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

const OVERVIEW = `Every command takes \`--json\` and \`--help\`. With \`--json\`, a command prints one JSON object per line on stdout: [events.md](events.md)
lists them. Results go to stdout, progress and errors to stderr. \`-v\` prints each step and the causes of errors; \`-q\` prints results and errors only.

On a terminal, \`portal up\` and \`portal expose\` show a live view with keys (\`?\` lists them). Elsewhere, and with \`--plain\`, they print lines.

| variable | does |
|---|---|
| \`NO_COLOR\`, \`FORCE_COLOR\` | turn colours off, or on where the output is no terminal |
| \`CI\`, \`TERM=dumb\` | print lines instead of the live view; \`TERM=dumb\` also turns colours off |
| \`PORTAL_HOME\` | keeps all [files](#files) in one folder; a relative path starts from the current directory, and \`~/\` is your home |
| \`PORTAL_FILE\` | names the configuration, as \`-f\` does |
| \`PORTAL_ALLOW=1\` | allows what a portal.yaml asks for: [Permissions](#permissions) |
| \`PORTAL_CLUSTER\` | names the database of a relay with [several nodes](../guides/operate-a-relay.md#several-machines), as \`--cluster\` of \`portal relay\` |
| \`PORTAL_PROFILES\` | lists the profiles of services to publish, separated by commas: [Services that run only sometimes](../guides/dev-servers.md#services-that-run-only-sometimes) |
| \`PORTAL_USER\` | is the value of \`\${user}\` in a portal.yaml |`;

const BEHAVIOUR = `## Exit codes

| code | meaning |
|---|---|
| 0 | done; for \`portal up\`: shut down cleanly, by a signal or \`portal down\` |
| 1 | failed at run time |
| 2 | the command line or the configuration is invalid, or the configuration is not allowed |
| 3 | \`portal plan\` found changes |
| 129, 130, 143 | a second SIGHUP, SIGINT or SIGTERM ended the shutdown early, or the first one ended \`--wait\` |

## Permissions

\`portal up\` runs a portal.yaml that [reaches beyond local ports](../guides/allow.md) only with your permission. There are three ways to give it:

| way | allows | for how long | use it |
|---|---|---|---|
| \`y\` at the question of \`portal up\`, or \`portal allow\` | what the file asks for now | until \`portal allow --revoke\`; after an edit that asks for more, Portal asks again | on your machine, and before \`portal service install\` |
| \`portal up --yes\` | everything that the file asks for, later saves included | while this agent runs | in a script, and with \`portal up -f -\` |
| \`PORTAL_ALLOW=1\` | the same, for every command in this environment | while the variable is set | in CI and in containers, for files that you have read |

Without a permission, and without a terminal to ask on, commands exit with 2 and \`config_not_allowed\`. \`portal expose\` needs no permission: you typed what it publishes.

## Background agents

| command | returns |
|---|---|
| \`portal up --detach\` | after the first attempt of every service |
| \`portal up --wait\` | when every service is ready; with exit code 1 when a service fails permanently or \`--timeout\` passes, and then the agent stops |
| \`portal status --wait-ready\` | when the agent runs and visitors reach each of its services |

After \`--detach\` or \`--wait\`, the agent continues in the background. \`portal status\`, \`portal logs\` and \`portal down\` find it by its file.

\`portal status --wait-ready\` exits with 0 and, with \`--json\`, prints a \`ready\` event. When \`--timeout\` passes first, it exits with 1 (\`not_running\` or
\`timeout\`, with the services that are not ready). When the command line or the configuration is invalid, it exits with 2. It asks only the agent: a
service whose target is down is ready. \`--targets\` also waits until every target is reachable.

An agent of \`portal expose\` has no file. In a folder without a portal.yaml, \`status\`, \`logs\` and \`down\` find the only running agent. If several
run, the commands list them, and \`--pid PID\` selects one.

## Files

| file | default | with \`PORTAL_HOME\` |
|---|---|---|
| identity | \`$XDG_CONFIG_HOME/portal/identity.json\` (\`~/.config\`) | \`identity.json\` |
| agents that you accepted in \`portal connect\` | \`$XDG_CONFIG_HOME/portal/known-agents\` (\`~/.config\`) | \`known-agents\` |
| local CA: \`ca.pem\`, \`ca.key.pem\` | \`$XDG_DATA_HOME/portal/ca/\` (\`~/.local/share\`) | \`ca/\` |
| ACME accounts and certificates | \`$XDG_STATE_HOME/portal/acme/\` (\`~/.local/state\`) | \`acme/\` |
| copies of relay lists | \`$XDG_STATE_HOME/portal/registry/\` (\`~/.local/state\`) | \`registry/\` |
| a relay's key and reserved names | \`$XDG_STATE_HOME/portal/relay/\` (\`~/.local/state\`), or \`--data-dir\` | \`relay/\` |
| sockets of running agents | \`$XDG_RUNTIME_DIR/portal/\`, else \`$XDG_STATE_HOME/portal/run/\` | \`run/\` |

Portal keeps certificates of the local CA in memory only.`;
