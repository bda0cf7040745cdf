import { spawn } from 'node:child_process';
import { PortalError, systemCode } from '../../lib/errors.js';
import { shellQuote } from '../../lib/private-file.js';
import type { CommandLine } from './commands.js';

/** Runs one command in front of the person (it may ask for a password) and gives its exit code. */
export type RunCommand = (command: CommandLine) => Promise<number>;

/** Runs them in order; the first that fails ends it. */
export async function runCommands(
  commands: readonly CommandLine[],
  announce: (line: string) => void,
  runCommand: RunCommand = runInTerminal,
): Promise<void> {
  for (const command of commands) {
    announce(`$ ${commandText(command)}`);
    const code = await runCommand(command);
    if (code !== 0) throw failed(`"${commandText(command)}" failed with exit code ${code}`);
  }
}

/** The store that could not be written is the system's, or a browser's. */
function failed(message: string, cause?: unknown): PortalError {
  return new PortalError('state_unwritable', message, {
    cause,
    hint: 'What it printed is above. Without --install the commands are only shown, for you to run.',
  });
}

/** As a person would type it. */
export function commandText(command: CommandLine): string {
  return command.map(shellQuote).join(' ');
}

function runInTerminal([program, ...args]: CommandLine): Promise<number> {
  return new Promise((resolve, reject) => {
    // stdout is ours alone (it may be JSON): what the command says goes to stderr.
    const child = spawn(program, args, { stdio: ['inherit', 2, 2] });
    child.once('exit', (code) => resolve(code ?? 1));
    child.once('error', (error) => {
      const missing = systemCode(error) === 'ENOENT';
      reject(failed(missing ? `there is no program "${program}" here` : error.message, error));
    });
  });
}
