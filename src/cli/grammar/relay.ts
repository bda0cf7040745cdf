import { Option, type Command } from 'commander';
import { limitsHelp } from '../relay/limits.js';
import type { Execute } from './execute.js';
import { count, domain, duration, list, port, portRange } from './options.js';

export function addRelay(program: Command, execute: Execute): void {
  const relay = program.command('relay').description('run a relay');
  addListening(relay);
  addCertificate(relay);
  addPeers(relay);
  addPolicy(relay);
  addOperation(relay);
  relay
    .addHelpText('after', limitsHelp)
    .action(execute(() => import('../commands/relay.js'), { holdsInterrupts: true, serves: true }));
}

function addListening(relay: Command): void {
  relay
    .addOption(domain('--domain <name>', 'give agents names below this domain').default('localhost'))
    .addOption(
      list(
        '--listen <address>',
        'listen here for visitors and agents: host:port, or :port for every address (repeatable, or separated by commas; default: 127.0.0.1:8443); systemd sockets replace it',
      ),
    )
    .addOption(
      list(
        '--accept-proxy-protocol <range>',
        'take client addresses from the PROXY protocol (version 1 or 2) of load balancers at these IP addresses and ranges (repeatable, or separated by commas; default: none)',
      ),
    )
    .addOption(port('--public-port <port>', 'set the port that visitors use, if a NAT or a proxy changes it'))
    .addOption(
      port(
        '--http-redirect [port]',
        'redirect plain HTTP on this port to https (default: 80, if the relay listens on port 443 and can listen there too)',
      ),
    )
    .option('--no-http-redirect', 'do not listen for plain HTTP')
    .addOption(
      portRange('--tcp-ports <a-b>', 'give services of mode tcp a port from this range (default: none)'),
    )
    .addOption(
      portRange('--udp-ports <a-b>', 'give services of mode udp a port from this range (default: none)'),
    );
}

function addCertificate(relay: Command): void {
  relay
    .option(
      '--cert <file>',
      'use this certificate chain for the domain, PEM (default: issued by your local CA)',
    )
    .option('--key <file>', 'use this private key for the certificate, PEM')
    .option('--acme', "get the certificate from a public CA over ACME, and agree to the CA's terms")
    .option('--acme-directory <url>', "use this ACME directory (default: Let's Encrypt)")
    .option('--acme-email <address>', 'give the CA this contact address')
    .option('--acme-ca <file>', "trust this CA for the directory's own HTTPS, PEM, if it is private")
    .addOption(
      list(
        '--dns <address>',
        "use this DNS server to verify who controls a domain (repeatable, or separated by commas; default: the system's)",
      ),
    );
}

function addPeers(relay: Command): void {
  relay
    .addOption(
      list('--peer <url>', 'forward agents to this relay in a chain (repeatable, or separated by commas)'),
    )
    .option('--peer-ca <file>', 'trust this CA for those relays, PEM (default: the CAs of the system)')
    .addOption(
      list(
        '--trust-peer <url>',
        'accept the new key of this peer, and remember it (repeatable, or separated by commas)',
      ),
    );
}

/** Who may use the relay, and how much of it. */
function addPolicy(relay: Command): void {
  relay
    .addOption(
      list('--limit <name=value>', 'set one of the limits listed below (repeatable, or separated by commas)'),
    )
    .option(
      '--deny <file>',
      'deny the identities, IP addresses and ranges of this file, one per line; reload it when it changes; with --cluster, all nodes deny them',
    )
    .option('--allow <file>', 'give leases only to the entries of this file, in the format of --deny')
    .option(
      '--reserved-labels <file>',
      'reserve the labels of this file, one per line, each with the identities that may use it; reload it when it changes',
    )
    .option('--no-agents', 'do not show users their agents and names, in `portal agents` or on a page');
}

/** More processes than this cost memory and messages, and serve no more visitors. */
const MAX_WORKERS = 64;

function addOperation(relay: Command): void {
  relay
    .option('--data-dir <folder>', "store the relay's key and names here")
    .addOption(
      duration('--drain <time>', 'give visitors this long to finish when the relay stops').default(
        10_000,
        '10s',
      ),
    )
    .addOption(
      duration('--take-over <time>', 'wait this long for the address while another relay releases it'),
    )
    .addOption(
      count('--workers <n>', 'serve with this many processes, to use several cores', MAX_WORKERS).default(1),
    )
    .option(
      '--cluster <url>',
      'share this PostgreSQL database with the other nodes of the relay: a URL, or a file with one (default: PORTAL_CLUSTER)',
    )
    .option('--node-address <address>', 'listen for the other nodes here, which connect to it, host:port')
    .option(
      '--node-host <host>',
      "give visitors this name or IP address of the node for the ports of --tcp-ports and --udp-ports, which the other nodes don't have",
    )
    .option(
      '--metrics <address>',
      'serve Prometheus metrics here, over plain HTTP; a bare port is on loopback',
    )
    .addOption(
      new Option('--log-level <level>', 'log this level and above to stderr')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    );
}
