import { Command, Option, type AddHelpTextContext } from 'commander';
import { packageVersion } from '../../lib/package-file.js';
import { COMMAND_EXAMPLES, PROGRAM_EXAMPLES, exampleText, type Example } from './examples.js';
import { addAgents } from './agents.js';
import type { Execute } from './execute.js';
import { addConnect, addEnvironment, addExpose, addPlan, addRunning, addUp, addValidate } from './publish.js';
import { addRelay } from './relay.js';
import { addRequests } from './requests.js';
import { addSetUp } from './set-up.js';
import { addShare } from './share.js';
import { addTools } from './tools.js';
import { addHelp, HELP_LAYOUT, rejectUnknown } from './help.js';

export interface ProgramOptions {
  readonly execute: Execute;
  /**
   * The first argument. If it is the name of a command, the tree has only that command and those added with it: adding all of
   * them takes several milliseconds.
   */
  readonly first?: string | undefined;
  /** Receives help texts and the version. */
  readonly write: (text: string) => void;
}

const EVERY_DAY = 'Every day:';
/** Each function of grammar/ with the commands that it adds, in the order of the help. */
const GROUPS: readonly {
  readonly heading: string;
  readonly commands: readonly string[];
  readonly add: (program: Command, execute: Execute) => void;
}[] = [
  { heading: EVERY_DAY, commands: ['up'], add: addUp },
  { heading: EVERY_DAY, commands: ['plan'], add: addPlan },
  { heading: EVERY_DAY, commands: ['validate'], add: addValidate },
  { heading: EVERY_DAY, commands: ['status', 'list', 'logs', 'down'], add: addRunning },
  { heading: EVERY_DAY, commands: ['agents'], add: addAgents },
  { heading: EVERY_DAY, commands: ['expose'], add: addExpose },
  { heading: EVERY_DAY, commands: ['connect'], add: addConnect },
  { heading: EVERY_DAY, commands: ['run', 'env'], add: addEnvironment },
  { heading: EVERY_DAY, commands: ['requests', 'replay'], add: addRequests },
  { heading: EVERY_DAY, commands: ['share'], add: addShare },
  { heading: 'Set up:', commands: ['init', 'allow', 'trust', 'service', 'identity'], add: addSetUp },
  { heading: 'Operate:', commands: ['relay'], add: addRelay },
  { heading: 'Tools:', commands: ['doctor', 'schema', 'hash', 'completion'], add: addTools },
];

/**
 * The grammar of the command line; each group of commands is a file of grammar/. Help, shell completion and docs/reference/cli.md
 * are generated from this tree. A command's module is imported only when the command runs, so `portal --help` stays fast.
 */
export function createProgram({ execute, first = '', write }: ProgramOptions): Command {
  const program = new Command('portal')
    .description('Local services on public URLs, declared in portal.yaml.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--json', 'print one JSON object per line on stdout, for programs')
    .addOption(new Option('-v, --verbose', 'print each step, and the causes of errors').conflicts('quiet'))
    .option('-q, --quiet', 'print results and errors only')
    .helpOption('-h, --help', 'print help')
    .configureHelp(HELP_LAYOUT)
    // cli/failure.ts prints the errors of all commands.
    .configureOutput({ writeOut: write, writeErr: write, outputError: () => undefined })
    .exitOverride()
    .addHelpText('after', examplesFor(PROGRAM_EXAMPLES));

  const called = GROUPS.filter(({ commands }) => commands.includes(first));
  for (const { heading, add } of called.length > 0 ? called : GROUPS) {
    program.commandsGroup(heading);
    add(program, execute);
  }
  addHelp(program);

  finish(program, '');
  return program;
}

/** The grammar without actions, for completion and documentation. */
export function grammarOnly(): Command {
  return createProgram({ execute: () => () => Promise.resolve(), write: () => undefined });
}

/** The examples for the width of the output. */
const examplesFor =
  (examples: readonly Example[]) =>
  ({ command }: AddHelpTextContext): string =>
    exampleText(examples, command.configureOutput().getOutHelpWidth?.());

/** Adds the examples of each command, and rejects unknown words in groups. */
function finish(command: Command, name: string): void {
  if (name !== '' && command.commands.length > 0) rejectUnknown(command);
  for (const child of command.commands) {
    const fullName = `${name} ${child.name()}`.trim();
    const examples = COMMAND_EXAMPLES[fullName];
    if (examples) child.addHelpText('after', examplesFor(examples));
    finish(child, fullName);
  }
}
