import { Argument, type Command } from 'commander';
import type { Execute } from './execute.js';
import {
  agentOf,
  choices,
  count,
  identityOf,
  list,
  pidOf,
  recordedFor,
  requestId,
  since,
} from './options.js';

/** Each request is one line of output. */
const MAX_REQUESTS = 100_000;

/** Commands for requests that the inspector recorded, or that are held. Except for `replay`, they need no running agent. */
export function addRequests(program: Command, execute: Execute): void {
  const requests = program.command('requests').description('show and delete recorded and held requests');
  requests
    .command('list', { isDefault: true })
    .description('show the latest recorded requests, newest last')
    .addOption(
      list('--service <name>', 'show only requests of this service (repeatable, or separated by commas)'),
    )
    .addOption(
      choices(
        '--status <status>',
        'show only this status: 404, 5xx or broken (repeatable, or separated by commas)',
        /^([1-5](\d\d|xx)|broken)$/,
        'Use a status such as 404, a class such as 5xx, or broken.',
      ),
    )
    .addOption(since('--since <time>', 'show only requests newer than this: 30m, 2h, or a date and time'))
    .addOption(
      choices(
        '--method <method>',
        'show only this method (repeatable, or separated by commas)',
        /^\S+$/,
        'Use a method, such as GET.',
      ),
    )
    .option(
      '--search <words>',
      'show only requests with all of these words in host, path, method, status or address',
    )
    .addOption(count('-n, --limit <number>', 'show at most this many', MAX_REQUESTS).default(50))
    .option('--all', 'show requests of other configurations too, and of `expose`')
    .addOption(recordedFor())
    .action(execute(() => import('../commands/requests-list.js')));
  requests
    .command('show')
    .description('show everything recorded about a request, with secret headers masked')
    .addArgument(new Argument('<id>', 'the ID from `portal requests`').argParser(requestId))
    .option('--reveal', 'show the values of secret headers as well')
    .option('--curl', 'print it as a curl command instead')
    .addOption(identityOf())
    .action(execute(() => import('../commands/requests-show.js')));
  requests
    .command('held')
    .description('show the requests that wait until their service is back, in the order of delivery')
    .addOption(
      list('--service <name>', 'show only requests of this service (repeatable, or separated by commas)'),
    )
    .option('--all', 'show requests of other configurations too')
    .addOption(recordedFor())
    .action(execute(() => import('../commands/requests-held.js')));
  requests
    .command('wipe')
    .description('delete all requests recorded or held for this identity, on disk and in running agents')
    .option('--yes', 'do not ask for confirmation')
    .addOption(identityOf())
    .action(execute(() => import('../commands/requests-wipe.js')));
  program
    .command('replay')
    .description('send a recorded request to its service again, through the running agent')
    .addArgument(new Argument('<id>', 'the ID from `portal requests`').argParser(requestId))
    .addOption(agentOf())
    .addOption(pidOf())
    .action(execute(() => import('../commands/replay.js')));
}
