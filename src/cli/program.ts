import { readFileSync } from 'node:fs';
import { Argument, Command, Option } from 'commander';
import { packageFile } from '../lib/package-file.js';
import type { CommandModule } from './context.js';
import { COMMAND_EXAMPLES, PROGRAM_EXAMPLES, exampleText } from './examples.js';
import { addHelp, rejectUnknown } from './help.js';
import {
  agentOf,
  choices,
  count,
  domain,
  duration,
  file,
  identityOf,
  list,
  pidOf,
  port,
  portRange,
  repeated,
  requestId,
  serviceName,
  since,
  something,
} from './options.js';
import { limitsHelp } from './relay-limits.js';
import { STORE_PATTERN } from './trust/store.js';

/** One line each, and nobody reads more. */
const MAX_REQUESTS = 100_000;

/** Turns the way to a command's module into commander's action. */
type Execute = <Options extends object>(
  load: () => Promise<CommandModule<Options>>,
  /** The command listens for signals itself; until it does, they are held. */
  options?: { readonly holdsInterrupts?: boolean },
) => (this: Command) => Promise<void>;

export interface ProgramOptions {
  readonly execute: Execute;
  /** Where help and the version go. */
  readonly write: (text: string) => void;
}

/**
 * The whole grammar of the command line. Help, shell completion and docs/reference/cli.md are read off this one tree;
 * what a command does is imported only when it runs, so that `portal --help` costs next to nothing.
 */
export function createProgram({ execute, write }: ProgramOptions): Command {
  const program = new Command('portal')
    .description('Local services on public URLs, declared in portal.yaml.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--json', 'one JSON object a line on stdout, for programs')
    .addOption(new Option('-v, --verbose', 'print each step, and the causes of errors').conflicts('quiet'))
    .option('-q, --quiet', 'print results and errors only')
    .helpOption('-h, --help', 'print help')
    .configureHelp({ showGlobalOptions: true })
    // Errors are told in one place for all commands: cli/failure.ts.
    .configureOutput({ writeOut: write, writeErr: write, outputError: () => undefined })
    .exitOverride()
    .addHelpText('after', exampleText(PROGRAM_EXAMPLES));

  program.commandsGroup('Every day:');
  addUp(program, execute);
  program
    .command('plan')
    .description('show what `up` would change now; exits 3 when there is something')
    .addOption(file())
    .option('--against <ref>', 'compare with the file at a commit of git instead, for pull requests')
    .addOption(
      new Option('--format <format>', 'how it is printed').choices(['text', 'markdown']).default('text'),
    )
    .action(execute(() => import('./commands/plan.js')));
  program
    .command('validate')
    .description('check the configuration and show every error')
    .addOption(file())
    .option('--print', 'print the effective configuration, secrets masked')
    .action(execute(() => import('./commands/validate.js')));
  addRunning(program, execute);
  addAgents(program, execute);
  addExpose(program, execute);
  addRequests(program, execute);

  program.commandsGroup('Set up:');
  addSetUp(program, execute);

  program.commandsGroup('Operate:');
  addRelay(program, execute);

  program.commandsGroup('Tools:');
  program
    .command('doctor')
    .description('look at everything the configuration needs, and say what is missing')
    .addOption(file())
    .addOption(
      list(
        '--dns <address>',
        "DNS server to ask (repeatable, or separated by commas; default: the system's)",
      ),
    )
    .action(execute(() => import('./commands/doctor.js')));
  program
    .command('schema')
    .description('print the JSON schema of portal.yaml')
    .action(execute(() => import('./commands/schema.js')));
  program
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .action(execute(() => import('./commands/completion.js')));

  addHelp(program);

  finish(program, '');
  return program;
}

/** The grammar without anything behind it, for what is generated from it. */
export function grammarOnly(): Command {
  return createProgram({ execute: () => () => Promise.resolve(), write: () => undefined });
}

function addUp(program: Command, execute: Execute): void {
  program
    .command('up')
    .description('publish the services of portal.yaml, and follow its changes')
    .argument('[services...]', 'only these services')
    .addOption(file())
    .option('--no-watch', 'do not reload when the file changes')
    .option('--frozen', 'refuse relays that are not in portal.lock, and leave that as it is (for CI)')
    .option('--yes', 'allow all that the file asks for, for this run (default: $PORTAL_ALLOW is 1)')
    .option('-d, --detach', 'run in the background; return once every service had its first try')
    .option(
      '--wait',
      'as --detach, but return once all services are ready, proven or not; exit 1 if one fails',
    )
    .addOption(duration('--timeout <time>', 'how long --wait waits', 1).default(60_000, '60s'))
    .option('--plain', 'print lines, also on a terminal')
    .action(execute(() => import('./commands/up.js')));
}

/** Commands that talk to the agent that runs for a file. */
function addRunning(program: Command, execute: Execute): void {
  program
    .command('status')
    .description('show services, URLs and relays of the running agent')
    .addOption(agentOf())
    .addOption(pidOf())
    .option('--wait-ready', 'wait until every service is ready, and print the addresses only')
    .addOption(
      duration('--timeout <time>', 'how long --wait-ready waits; 0 asks once').default(30_000, '30s'),
    )
    .action(execute(() => import('./commands/status.js')));
  program
    .command('list')
    .description('show the relays of the configuration: health, round trip, what they offer, their keys')
    .addOption(file())
    .action(execute(() => import('./commands/list.js')));
  program
    .command('logs')
    .description('show what the running agent did lately')
    .argument('[services...]', 'only of these services')
    .option('-f, --follow', 'stay and show what comes')
    .addOption(agentOf('-F, --file <file>'))
    .addOption(pidOf())
    .action(execute(() => import('./commands/logs.js')));
  program
    .command('down')
    .description('stop the running agent, visitors drained')
    .addOption(agentOf())
    .addOption(pidOf())
    .action(execute(() => import('./commands/down.js')));
}

/** What the relays show of all agents of the identity, wherever they run. */
function addAgents(program: Command, execute: Execute): void {
  const agents = program
    .command('agents')
    .description('your agents on all machines, and your names, as the relays see them');
  relaysOf(agents.command('list', { isDefault: true }))
    .description('show the agents of your identity, those that let you see them, and your names')
    .action(execute(() => import('./commands/agents-list.js')));
  relaysOf(agents.command('disconnect'))
    .description('disconnect one of your agents until it restarts')
    .addArgument(new Argument('<id>', 'the beginning of its id, or its machine').argParser(something))
    .action(execute(() => import('./commands/agents-disconnect.js')));
  relaysOf(agents.command('release'))
    .description('give up a reserved name and its ports, for anybody to take')
    .argument('<name>', 'the name')
    .action(execute(() => import('./commands/agents-release.js')));
  relaysOf(agents.command('page'))
    .description('print a link to the page of a relay, which signs your browser in')
    .action(execute(() => import('./commands/agents-page.js')));
}

function addExpose(program: Command, execute: Execute): void {
  program
    .command('expose')
    .description('publish one local service without a file')
    .argument('[target]', 'a port, host:port, unix:/path or http(s)://host:port')
    .option('--name <label>', 'its name on the relay (default: made from your identity and the target)')
    .option('--tcp', 'a raw TCP port of the relay')
    .option('--udp', 'a UDP port of the relay')
    .option('--udp-addr <target>', 'where datagrams go; the target is published beside them')
    .addOption(port('--port <port>', 'the public port to ask for, with --tcp and --udp'))
    .addOption(repeated('--http-route <path=target>', 'send a path to a service of its own (repeatable)'))
    .option(
      '--host-header <name>',
      'the name that the service finds in Host, Origin and Referer: "target" for its own, or any other (default: the public name)',
    )
    .addOption(
      list(
        '--relay <url>',
        'a relay to publish on (repeatable, or separated by commas; default: one in this process)',
      ),
    )
    .option('--ca <file>', 'the CA of those relays, PEM, where the system does not trust them')
    .option('--chain <url,url>', "a chain of two relays or three, the visitors' side first")
    .option('--pin <pin>', 'visitors must enter this PIN')
    .addOption(
      list(
        '--allow-ip <range>',
        'only visitors from this address or range (repeatable, or separated by commas)',
      ),
    )
    .option('--inspect', 'record requests and show them in the local inspector')
    .option('--plain', 'print lines, also on a terminal')
    .action(execute(() => import('./commands/expose.js')));
}

/** What the inspector recorded, whether an agent runs or not. */
function addRequests(program: Command, execute: Execute): void {
  const requests = program.command('requests').description('the requests that were inspected');
  requests
    .command('list', { isDefault: true })
    .description('show the latest requests that are kept, the newest last')
    .addOption(list('--service <name>', 'only of this service (repeatable, or separated by commas)'))
    .addOption(
      choices(
        '--status <status>',
        '404, 5xx, or broken (repeatable, or separated by commas)',
        /^([1-5](\d\d|xx)|broken)$/,
        'It is a status such as 404, a class such as 5xx, or broken.',
      ),
    )
    .addOption(since('--since <time>', 'only since then: 30m, 2h, or a date and time'))
    .addOption(
      choices(
        '--method <method>',
        'only of these methods (repeatable, or separated by commas)',
        /^\S+$/,
        'It is a method, such as GET.',
      ),
    )
    .option('--search <words>', 'only those with all of these words in host, path, method, status or address')
    .addOption(count('--limit <number>', 'so many at most', MAX_REQUESTS).default(50))
    .addOption(identityOf())
    .action(execute(() => import('./commands/requests-list.js')));
  requests
    .command('show')
    .description('show everything of a request; secrets are masked')
    .addArgument(new Argument('<id>', 'which request').argParser(requestId))
    .option('--reveal', 'show secrets as well')
    .option('--curl', 'print it as a curl command instead')
    .addOption(identityOf())
    .action(execute(() => import('./commands/requests-show.js')));
  requests
    .command('wipe')
    .description('forget every request of the identity, those included that running agents have in memory')
    .option('--yes', 'yes, do not ask')
    .addOption(identityOf())
    .action(execute(() => import('./commands/requests-wipe.js')));
  program
    .command('replay')
    .description('have the running agent ask its service once more what a visitor asked')
    .addArgument(new Argument('<id>', 'which request').argParser(requestId))
    .addOption(agentOf())
    .addOption(pidOf())
    .action(execute(() => import('./commands/replay.js')));
}

function addSetUp(program: Command, execute: Execute): void {
  program
    .command('init')
    .description('write a small portal.yaml for this folder')
    .addOption(
      port('--port <port>', 'the port of your service (default: guessed from package.json)').conflicts(
        'from',
      ),
    )
    .option('--from <file>', 'convert a configuration of ngrok, cloudflared, Docker Compose or frp')
    .action(execute(() => import('./commands/init.js')));
  program
    .command('trust')
    .description('show which certificate stores of this machine trust the local CA, and change that')
    .addOption(new Option('--install', 'trust the CA in every store').conflicts('uninstall'))
    .option('--uninstall', 'remove the CA from every store')
    .addOption(
      choices(
        '--store <stores>',
        'only these: system, chromium, firefox (repeatable, or separated by commas)',
        STORE_PATTERN,
        'It is a store: system, chromium or firefox.',
      ),
    )
    .action(execute(() => import('./commands/trust.js')));
  program
    .command('allow')
    .description('allow a portal.yaml what it asks for: relays, hosts, files and variables')
    .addOption(file())
    .addOption(new Option('--list', 'show what each file is allowed').conflicts(['revoke', 'file']))
    .option('--revoke', 'take back what the file is allowed')
    .action(execute(() => import('./commands/allow.js')));
  addService(program, execute);
  const identity = program.command('identity').description('the key that owns your names on relays');
  identity
    .command('show', { isDefault: true })
    .description('print the address and the file')
    .addOption(identityOf())
    .action(execute(() => import('./commands/identity-show.js')));
  identity
    .command('new')
    .description('make a new identity')
    .addOption(identityOf())
    .option('--force', 'replace an existing one; it is kept beside as a backup')
    .action(execute(() => import('./commands/identity-new.js')));
  identity
    .command('export')
    .description('print the private key')
    .addOption(identityOf())
    .option('--yes', 'yes, print the secret')
    .action(execute(() => import('./commands/identity-export.js')));
}

/** `portal up` by the service manager of the operating system. */
function addService(program: Command, execute: Execute): void {
  const service = program
    .command('service')
    .description('run the agent of a configuration as a service of your user, started with the machine');
  serviceOf(service.command('install'))
    .description('install and start the service, or update it')
    .addOption(new Option('--print', 'print the unit, and change nothing'))
    .action(execute(() => import('./commands/service-install.js')));
  serviceOf(service.command('uninstall'))
    .description('stop and remove the service')
    .action(execute(() => import('./commands/service-uninstall.js')));
  serviceOf(service.command('status', { isDefault: true }))
    .description('show whether the service is installed and active; exits 1 when it is not active')
    .action(execute(() => import('./commands/service-status.js')));
}

function addRelay(program: Command, execute: Execute): void {
  program
    .command('relay')
    .description('run a relay')
    .addOption(domain('--domain <name>', 'names are given out below this domain').default('localhost'))
    .addOption(
      list(
        '--listen <address>',
        'host:port for visitors and agents (repeatable, or separated by commas; default: 127.0.0.1:8443); sockets of systemd replace it',
      ),
    )
    .addOption(
      port('--public-port <port>', 'the port that visitors use, where a NAT or proxy makes it another'),
    )
    .addOption(
      port(
        '--http-redirect [port]',
        'redirect plain HTTP at this port to https (default: 80, if the relay listens at port 443 and can listen there too)',
      ),
    )
    .option('--no-http-redirect', 'do not listen for plain HTTP')
    .addOption(portRange('--tcp-ports <a-b>', 'ports to give to services of mode tcp (default: none)'))
    .addOption(portRange('--udp-ports <a-b>', 'ports to give to services of mode udp (default: none)'))
    .option('--cert <file>', 'certificate chain for the domain, PEM (default: made by the local CA)')
    .option('--key <file>', 'its private key, PEM')
    .option('--acme', "have a public CA make it, over ACME; that agrees to the CA's terms")
    .option('--acme-directory <url>', "the CA's directory (default: Let's Encrypt)")
    .option('--acme-email <address>', 'where the CA may write to')
    .option('--acme-ca <file>', "CA to trust for the directory's own HTTPS, PEM, where that is private")
    .addOption(
      list(
        '--dns <address>',
        "DNS server that looks up who holds a domain (repeatable, or separated by commas; default: the system's)",
      ),
    )
    .addOption(
      list(
        '--peer <url>',
        'another relay that agents may go on to from here, in a chain (repeatable, or separated by commas)',
      ),
    )
    .option('--peer-ca <file>', 'the CA of those relays, PEM, where the system does not trust them')
    .addOption(
      list(
        '--trust-peer <url>',
        'a peer whose key was replaced: remember the one it has now (repeatable, or separated by commas)',
      ),
    )
    .addOption(
      list(
        '--limit <name=value>',
        'set a limit of the relay; they are listed below (repeatable, or separated by commas)',
      ),
    )
    .option('--deny <file>', 'identities, IP addresses and ranges to keep out, one a line; followed')
    .option('--allow <file>', 'only these may hold leases: a list as of --deny, followed as well')
    .option(
      '--reserved-labels <file>',
      'more labels that no agent gets as a name, one a line, and the identities that may have it; followed',
    )
    .option('--no-agents', 'do not show identities their agents and names, in `portal agents` and on a page')
    .option('--data-dir <folder>', "where the relay's key and names are kept")
    .addOption(
      duration('--drain <time>', 'how long visitors may finish once the relay is asked to stop').default(
        10_000,
        '10s',
      ),
    )
    .addOption(
      duration('--take-over <time>', 'wait this long for the address while another relay gives it up'),
    )
    .option(
      '--metrics <address>',
      'serve Prometheus metrics here, over plain HTTP; a bare port is on loopback',
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged to stderr')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addHelpText('after', limitsHelp)
    .action(execute(() => import('./commands/relay.js'), { holdsInterrupts: true }));
}

/** What is said beside the tree: examples, and what a group does not have. */
function finish(command: Command, name: string): void {
  if (name !== '' && command.commands.length > 0) rejectUnknown(command);
  for (const child of command.commands) {
    const fullName = `${name} ${child.name()}`.trim();
    const examples = COMMAND_EXAMPLES[fullName];
    if (examples) child.addHelpText('after', exampleText(examples));
    finish(child, fullName);
  }
}

const serviceOf = (command: Command): Command => command.addOption(agentOf()).addOption(serviceName());

const relaysOf = (command: Command): Command =>
  command
    .addOption(file())
    .addOption(
      list(
        '--relay <url>',
        'ask this relay alone (repeatable, or separated by commas; default: those of the file)',
      ),
    )
    .option('--ca <file>', 'the CA of those relays, PEM, where the system does not trust them');

export function packageVersion(): string {
  const text = readFileSync(packageFile('package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
