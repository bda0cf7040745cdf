import { Argument, type Command } from 'commander';
import type { Execute } from './execute.js';
import { file, list, nonEmpty } from './options.js';

/** Shows all agents of the identity, on every machine, from the relays. */
export function addAgents(program: Command, execute: Execute): void {
  const agents = program
    .command('agents')
    .description('show and manage your agents on all machines, and your names');
  relaysOf(agents.command('list', { isDefault: true }))
    .description('show your agents, agents that are shared with you, and your names')
    .action(execute(() => import('../commands/agents-list.js')));
  relaysOf(agents.command('disconnect'))
    .description('disconnect one of your agents until it restarts')
    .addArgument(new Argument('<id>', 'the beginning of an id, or the name of a machine').argParser(nonEmpty))
    .action(execute(() => import('../commands/agents-disconnect.js')));
  relaysOf(agents.command('release'))
    .description('give up a reserved name and its ports, so that others can take them')
    .argument('<name>', 'the name')
    .action(execute(() => import('../commands/agents-release.js')));
  relaysOf(agents.command('page'))
    .description("print a link that opens a relay's agents page and signs your browser in")
    .action(execute(() => import('../commands/agents-page.js')));
}

const relaysOf = (command: Command): Command =>
  command
    .addOption(file())
    .addOption(
      list(
        '--relay <url>',
        'query only this relay (repeatable, or separated by commas; default: the relays of the file)',
      ),
    )
    .option('--ca <file>', 'trust this CA for those relays, PEM (default: the CAs of the system)');
