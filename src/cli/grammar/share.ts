import { Argument, type Command } from 'commander';
import type { Execute } from './execute.js';
import { agentOf, identityOf, nonEmpty, pidOf, until } from './options.js';

/** Commands for links that open a service without its PIN, password or sign-in. */
export function addShare(program: Command, execute: Execute): void {
  const share = program
    .command('share')
    .description('create, list and revoke links that open a service without its PIN');
  share
    .command('create', { isDefault: true })
    .description(
      'print a link that opens a running service without its PIN, or with `access.sharing` without a sign-in',
    )
    .addArgument(new Argument('<service>', 'the service to open').argParser(nonEmpty))
    .addOption(
      until('--until <time>', 'end the link after this time: 2h, 7d, or a date and time (default: 24h)'),
    )
    .option('--path <path>', 'open only this path and the paths below it', '/')
    .addOption(agentOf())
    .addOption(pidOf())
    .action(execute(() => import('../commands/share-create.js')));
  share
    .command('list')
    .description('show the links that this machine created and that have not expired')
    .addOption(identityOf())
    .action(execute(() => import('../commands/share-list.js')));
  share
    .command('revoke')
    .description('end links now, and disconnect their visitors')
    .addArgument(new Argument('[id…]', 'which links, as `portal share list` shows them'))
    .option('--all', 'revoke every link of the identity')
    .addOption(identityOf())
    .action(execute(() => import('../commands/share-revoke.js')));
}
