import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { packageFile } from '../lib/package-file.js';
import { COMMAND_EXAMPLES, PROGRAM_EXAMPLES, exampleText } from './examples.js';
import { addAgents } from './grammar/agents.js';
import type { Execute } from './grammar/execute.js';
import { addExpose, addPlan, addRunning, addUp, addValidate } from './grammar/publish.js';
import { addRelay } from './grammar/relay.js';
import { addRequests } from './grammar/requests.js';
import { addSetUp } from './grammar/set-up.js';
import { addTools } from './grammar/tools.js';
import { addHelp, rejectUnknown } from './help.js';

export interface ProgramOptions {
  readonly execute: Execute;
  /** Receives help texts and the version. */
  readonly write: (text: string) => void;
}

/**
 * The grammar of the command line; each group of commands is a file of grammar/. Help, shell completion and docs/reference/cli.md
 * are generated from this tree. A command's module is imported only when the command runs, so `portal --help` stays fast.
 */
export function createProgram({ execute, write }: ProgramOptions): Command {
  const program = new Command('portal')
    .description('Local services on public URLs, declared in portal.yaml.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--json', 'print one JSON object per line on stdout, for programs')
    .addOption(new Option('-v, --verbose', 'print each step, and the causes of errors').conflicts('quiet'))
    .option('-q, --quiet', 'print results and errors only')
    .helpOption('-h, --help', 'print help')
    .configureHelp({ showGlobalOptions: true })
    // cli/failure.ts prints the errors of all commands.
    .configureOutput({ writeOut: write, writeErr: write, outputError: () => undefined })
    .exitOverride()
    .addHelpText('after', exampleText(PROGRAM_EXAMPLES));

  program.commandsGroup('Every day:');
  addUp(program, execute);
  addPlan(program, execute);
  addValidate(program, execute);
  addRunning(program, execute);
  addAgents(program, execute);
  addExpose(program, execute);
  addRequests(program, execute);

  program.commandsGroup('Set up:');
  addSetUp(program, execute);

  program.commandsGroup('Operate:');
  addRelay(program, execute);

  program.commandsGroup('Tools:');
  addTools(program, execute);
  addHelp(program);

  finish(program, '');
  return program;
}

/** The grammar without actions, for completion and documentation. */
export function grammarOnly(): Command {
  return createProgram({ execute: () => () => Promise.resolve(), write: () => undefined });
}

/** Adds the examples of each command, and rejects unknown words in groups. */
function finish(command: Command, name: string): void {
  if (name !== '' && command.commands.length > 0) rejectUnknown(command);
  for (const child of command.commands) {
    const fullName = `${name} ${child.name()}`.trim();
    const examples = COMMAND_EXAMPLES[fullName];
    if (examples) child.addHelpText('after', exampleText(examples));
    finish(child, fullName);
  }
}

export function packageVersion(): string {
  const text = readFileSync(packageFile('package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
