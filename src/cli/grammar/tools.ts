import { Argument, Option, type Command } from 'commander';
import type { Execute } from './execute.js';
import { file, list } from './options.js';

export function addTools(program: Command, execute: Execute): void {
  program
    .command('doctor')
    .description(
      'check everything the configuration needs, and show what is missing; without a file, check this machine and the agent of `portal expose`',
    )
    .addOption(file())
    .addOption(
      list(
        '--dns <address>',
        "query this DNS server (repeatable, or separated by commas; default: the system's)",
      ),
    )
    .action(execute(() => import('../commands/doctor.js')));
  program
    .command('schema')
    .description('print the JSON schema of portal.yaml')
    .action(execute(() => import('../commands/schema.js')));
  program
    .command('hash')
    .description('print the hash of a password, for `access.basic`')
    .addOption(
      new Option('--algorithm <name>', 'use this hash function')
        .choices(['argon2id', 'bcrypt'])
        .default('argon2id'),
    )
    .action(execute(() => import('../commands/hash.js')));
  program
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .action(execute(() => import('../commands/completion.js')));
}
