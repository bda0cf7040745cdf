import { Option, type Command } from 'commander';
import { STORE_PATTERN } from '../trust/store.js';
import type { Execute } from './execute.js';
import { agentOf, choices, file, identityOf, metrics, port, serviceName } from './options.js';

/** Commands that prepare a folder or this machine. */
export function addSetUp(program: Command, execute: Execute): void {
  program
    .command('init')
    .description('write a small portal.yaml for this folder')
    .addOption(
      port('--port <port>', 'set the port of your service (default: guessed from package.json)').conflicts(
        'from',
      ),
    )
    .option('--from <file>', 'convert a configuration of ngrok, cloudflared, Docker Compose or frp')
    .action(execute(() => import('../commands/init.js')));
  addTrust(program, execute);
  program
    .command('allow')
    .description('allow what a portal.yaml asks for: relays, hosts, files and variables')
    .addOption(file())
    .addOption(new Option('--list', 'show what each file is allowed').conflicts(['revoke', 'file']))
    .option('--revoke', 'withdraw the permissions of the file')
    .action(execute(() => import('../commands/allow.js')));
  addService(program, execute);
  addIdentity(program, execute);
}

function addTrust(program: Command, execute: Execute): void {
  program
    .command('trust')
    .description('show which certificate stores of this machine trust the local CA, and change that')
    .addOption(new Option('--install', 'trust the CA in every store').conflicts('uninstall'))
    .option('--uninstall', 'remove the CA from every store')
    .addOption(
      choices(
        '--store <stores>',
        'use only these stores: system, chromium, firefox (repeatable, or separated by commas)',
        STORE_PATTERN,
        'Use a store: system, chromium or firefox.',
      ),
    )
    .action(execute(() => import('../commands/trust.js')));
}

/** `portal up`, run by the service manager of the operating system. */
function addService(program: Command, execute: Execute): void {
  const service = program
    .command('service')
    .description('run an agent as a service of your user that starts with the machine');
  serviceOf(service.command('install'))
    .description('install and start the service, or update it')
    .addOption(metrics())
    .addOption(new Option('--print', 'print the unit, and change nothing'))
    .action(execute(() => import('../commands/service-install.js')));
  serviceOf(service.command('uninstall'))
    .description('stop and remove the service')
    .action(execute(() => import('../commands/service-uninstall.js')));
  serviceOf(service.command('status', { isDefault: true }))
    .description('show whether the service is installed and active; exit 1 if it is not active')
    .action(execute(() => import('../commands/service-status.js')));
}

const serviceOf = (command: Command): Command => command.addOption(agentOf()).addOption(serviceName());

function addIdentity(program: Command, execute: Execute): void {
  const identity = program.command('identity').description('manage the key that owns your names on relays');
  identity
    .command('show', { isDefault: true })
    .description('print the address and the file')
    .addOption(identityOf())
    .action(execute(() => import('../commands/identity-show.js')));
  identity
    .command('new')
    .description('create a new identity')
    .addOption(identityOf())
    .option('--force', 'replace an existing identity, and keep a backup next to it')
    .action(execute(() => import('../commands/identity-new.js')));
  identity
    .command('export')
    .description('print the private key')
    .addOption(identityOf())
    .option('--yes', 'confirm that you want to print the private key')
    .action(execute(() => import('../commands/identity-export.js')));
}
