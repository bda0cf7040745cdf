import { Option, type Command } from 'commander';
import type { Execute } from './execute.js';
import { MAX_LOG_ENTRIES } from '../control/history.js';
import { agentOf, count, duration, file, list, metrics, pidOf, port, repeated, since } from './options.js';

/** Commands that publish services or connect to them, and commands for the running agent of a file. */

export function addUp(program: Command, execute: Execute): void {
  program
    .command('up')
    .description('publish the services in portal.yaml, and reload it when it changes')
    .argument('[services...]', 'publish only these services')
    .addOption(file())
    .addOption(
      list(
        '--profile <name>',
        'also publish services with this profile (repeatable, or separated by commas; default: $PORTAL_PROFILES)',
      ),
    )
    .option('--no-watch', 'do not reload when the file changes')
    .option('--frozen', 'reject relays that are not in portal.lock, and leave it unchanged (for CI)')
    .option('--yes', 'allow everything the file asks for, for this run (also on with PORTAL_ALLOW=1)')
    .option('-d, --detach', 'run in the background; return after the first attempt for every service')
    .option(
      '--wait',
      'like --detach, but return once every service is published; exit 1 if one fails (for targets: `portal status --wait-ready --targets`)',
    )
    .addOption(duration('--timeout <time>', 'limit how long --wait waits', 1).default(60_000, '60s'))
    .addOption(metrics())
    .option('--plain', 'print plain lines, even on a terminal')
    .action(execute(() => import('../commands/up.js'), { serves: true }));
}

export function addPlan(program: Command, execute: Execute): void {
  program
    .command('plan')
    .description('show what `up` would change now; exit 3 if there are changes')
    .addOption(file())
    .option('--against <ref>', 'compare with the file at this git commit instead, for pull requests')
    .addOption(
      new Option('--format <format>', 'choose the format').choices(['text', 'markdown']).default('text'),
    )
    .action(execute(() => import('../commands/plan.js')));
}

export function addValidate(program: Command, execute: Execute): void {
  program
    .command('validate')
    .description('check the configuration and show every error')
    .addOption(file())
    .option('--print', 'print the effective configuration, with secrets masked')
    .action(execute(() => import('../commands/validate.js')));
}

export function addRunning(program: Command, execute: Execute): void {
  program
    .command('status')
    .description('show services, URLs and relays of the running agent')
    .argument('[services...]', 'show only these services and their relays')
    .addOption(agentOf())
    .addOption(pidOf())
    .option('--wait-ready', 'wait until every service is ready, then print only the addresses')
    .option('--targets', 'with --wait-ready, wait until every target is reachable as well')
    .addOption(
      duration('--timeout <time>', 'limit how long --wait-ready waits; 0 checks once').default(30_000, '30s'),
    )
    .action(execute(() => import('../commands/status.js')));
  program
    .command('list')
    .description(
      'show the relays of the configuration: health, round trip, keys, what they serve (`portal status` shows services)',
    )
    .addOption(file())
    .action(execute(() => import('../commands/list.js')));
  program
    .command('logs')
    .description('show the recent events of the running agent, or the requests of its visitors')
    .argument('[services...]', 'show only events of these services')
    .option(
      '--access',
      'show the requests of visitors instead, in Common Log Format with virtual host; with --json in more detail',
    )
    .option('-f, --follow', 'keep running and show new events')
    .addOption(count('-n, --tail <number>', 'show only this many of the recent events', MAX_LOG_ENTRIES, 0))
    .addOption(since('--since <time>', 'show only events newer than this: 30m, 2h, or a date and time'))
    .addOption(agentOf('-F, --file <file>'))
    .addOption(pidOf())
    .action(execute(() => import('../commands/logs.js')));
  program
    .command('down')
    .description('drain visitors and stop the running agent')
    .addOption(agentOf())
    .addOption(pidOf())
    .action(execute(() => import('../commands/down.js')));
}

export function addExpose(program: Command, execute: Execute): void {
  program
    .command('expose')
    .description('publish one local service without a file')
    .argument('[target]', 'a port, host:port, unix:/path, http(s)://host:port, or a folder such as ./public')
    .option(
      '--name <label>',
      'set its name on the relay (default: derived from your identity and the target)',
    )
    .option('--tcp', 'publish it on a raw TCP port of the relay')
    .option('--udp', 'publish it on a UDP port of the relay')
    .option('--udp-addr <target>', 'forward datagrams here, and publish the target as well')
    .addOption(port('--port <port>', 'request this public port, with --tcp and --udp'))
    .addOption(repeated('--http-route <path=target>', 'forward a path to its own service (repeatable)'))
    .option(
      '--host-header <name>',
      'set the name that the service receives in Host, Origin and Referer; "target" is its own name (default: the public name)',
    )
    .addOption(
      list(
        '--relay <url>',
        'publish on this relay (repeatable, or separated by commas; default: one in this process)',
      ),
    )
    .option('--ca <file>', 'trust this CA for those relays, PEM (default: the CAs of the system)')
    .option('--chain <url,url>', "publish through a chain of two or three relays, the visitors' side first")
    .option('--pin <pin>', 'require this PIN from visitors')
    .addOption(
      list(
        '--allow-ip <range>',
        'admit only visitors from this address or range (repeatable, or separated by commas)',
      ),
    )
    .addOption(
      list(
        '--allow-identity <address>',
        'admit only this identity, with `portal connect` (repeatable, or separated by commas)',
      ),
    )
    .option('--inspect', 'record requests and show them in the local inspector')
    .addOption(metrics())
    .option('--plain', 'print plain lines, even on a terminal')
    .action(execute(() => import('../commands/expose.js'), { serves: true }));
}

export function addEnvironment(program: Command, execute: Execute): void {
  program
    .command('run')
    .description('run a program with the variables that the commands of services get')
    .argument('<program...>', 'the program and its arguments, after --')
    .option('-s, --service <service>', 'also set PORT, PORTAL_URL and `env` of this service')
    .addOption(file())
    .action(execute(() => import('../commands/run.js'), { serves: true }));
  program
    .command('env')
    .description('print the variables that the commands of services get, for a shell or a .env file')
    .argument('[service]', 'also print PORT, PORTAL_URL and `env` of this service')
    .addOption(file())
    .action(execute(() => import('../commands/env.js')));
}

export function addConnect(program: Command, execute: Execute): void {
  program
    .command('connect')
    .description('reach a private service of another person on a local port')
    .argument('<services...>', 'names in portal.yaml, or public hostnames')
    .addOption(
      port(
        '--port <port>',
        "listen on this port of 127.0.0.1 (default: the target's port if it is free, else any)",
      ),
    )
    .option('--stdio', 'use standard input and output instead of a port, for ssh')
    .option(
      '--identity <address>',
      "expect this identity's agent (default: `identity` of the service, the one accepted before, or your own)",
    )
    .addOption(file())
    .action(execute(() => import('../commands/connect.js'), { serves: true }));
}
