import type { CommanderError } from 'commander';

/** Portal's names for commands and options of ngrok, cloudflared, Tailscale, frp and Docker Compose. */

const ANY_PORT = 'PORT';
const NO_ACCOUNT = 'Portal has no accounts. Your identity is a key on this machine: portal identity';

type Command = string | ((args: readonly string[]) => string);

const CONVERT = 'To convert the configuration of another program: portal init --from FILE';
const NO_TUNNELS =
  'Portal has no tunnels to create or delete: portal.yaml names the services. Use: portal up';

const expose =
  (options = '') =>
  (args: readonly string[]): string => {
    const name = nameIn(args);
    const named = name === undefined ? '' : ` --name ${name}`;
    return `Use: portal expose ${args.find(isTarget) ?? ANY_PORT}${options}${named}. ${PUBLIC_URL}`;
  };

const PUBLIC_URL = 'For a public URL, add --relay URL with the address of your relay.';

/** The name in an option such as `--url=foo.ngrok.app`: its first label. */
function nameIn(args: readonly string[]): string | undefined {
  const joined = args.join(' ');
  const label = /--(?:url|domain|hostname|subdomain)[= ](?:[a-z]+:\/\/)?([a-z][a-z0-9-]*)/i.exec(joined)?.[1];
  return label === 'localhost' ? undefined : label;
}

/** The commands of `cloudflared tunnel`. */
const TUNNEL: Readonly<Record<string, string>> = {
  run: 'Use: portal up',
  list: 'Use: portal status, or portal agents for all machines',
  info: 'Use: portal status',
  create: NO_TUNNELS,
  delete: NO_TUNNELS,
  route: NO_TUNNELS,
  login: NO_ACCOUNT,
};

const tunnel: Command = (args) => {
  const word = args[0] ?? '';
  return Object.hasOwn(TUNNEL, word) ? TUNNEL[word]! : expose()(args);
};

const COMMANDS: Readonly<Record<string, Command>> = {
  http: expose(),
  https: expose(),
  tcp: expose(' --tcp'),
  udp: expose(' --udp'),
  tls: expose(),
  share: expose(),
  serve: expose(),
  funnel: expose(),
  tunnel,
  open: expose(),
  start: 'Use: portal up',
  run: 'Use: portal up',
  connect: 'Use: portal up',
  client: 'Use: portal up',
  compose: `Use: portal up. ${CONVERT}`,
  frpc: `Use: portal up. ${CONVERT}`,
  access:
    'Visitors need no client. To restrict them, set `access` in portal.yaml, or use --pin and --allow-ip.',
  stop: 'Use: portal down',
  kill: 'Use: portal down',
  restart: 'The agent applies each save of portal.yaml. To restart it: portal down && portal up',
  reload: 'The agent applies each save of portal.yaml.',
  ps: 'Use: portal status, or portal agents for all machines',
  ls: 'Use: portal status, or portal list for relays',
  top: 'Use: portal status',
  inspect:
    'Use: portal requests. To record them, set `inspect: true` on the service, or use portal expose PORT --inspect.',
  diagnose: 'Use: portal doctor',
  check: 'Use: portal validate',
  verify: `Use: portal validate. ${CONVERT}`,
  wait: 'Use: portal status --wait-ready, or portal up --wait to start the agent as well',
  config: 'The configuration is portal.yaml. Use: portal validate, portal plan or portal init',
  server: 'Use: portal relay',
  login: NO_ACCOUNT,
  logout: NO_ACCOUNT,
  auth: NO_ACCOUNT,
  authtoken: NO_ACCOUNT,
  'add-authtoken': NO_ACCOUNT,
  signup: NO_ACCOUNT,
  update: 'Update Portal the way you installed it, for example: npm install --global portal-up@latest',
  upgrade: 'Update Portal the way you installed it, for example: npm install --global portal-up@latest',
  version: 'Use: portal --version',
  demo: 'Use: portal init, then portal up. In a checkout of the source of Portal, `npm run demo` starts a demo.',
};

const PIN_OR_BASIC = 'Use: --pin PIN. For user names and passwords, set `access.basic` in portal.yaml.';

const OPTIONS: Readonly<Record<string, string>> = {
  '--subdomain': 'Use: --name NAME',
  '--hostname':
    'For a name on the relay, use --name NAME. For your own domain, set `hostname` in portal.yaml.',
  '--domain': 'For a name on the relay, use --name NAME. For your own domain, set `hostname` in portal.yaml.',
  '--url': 'For a name on the relay, use --name NAME. Give the port as an argument: portal expose 3000',
  '--port': 'Give the port as an argument: portal expose 3000',
  '-p': 'Give the port as an argument: portal expose 3000',
  '--authtoken': NO_ACCOUNT,
  '--token': NO_ACCOUNT,
  '--basic-auth': PIN_OR_BASIC,
  '--auth': PIN_OR_BASIC,
  '--cidr-allow': 'Use: --allow-ip ADDRESS',
  '--server': 'Use: --relay URL',
  '--host': 'To send another Host header, use --host-header NAME. For another relay, use --relay URL.',
  '--config': `Use: -f FILE. ${CONVERT}`,
  '-c': `Use: -f FILE. ${CONVERT}`,
  '-F': 'Use: -f FILE',
  '--file': 'Use: -f FILE',
  '--region': 'Portal has no regions. Name a relay near you: --relay URL',
  '--log': 'Use: portal logs',
};

/** Portal's equivalent of another program's command or option; undefined for unknown words. */
export function otherToolHint(
  { code, message }: CommanderError,
  argv: readonly string[],
): string | undefined {
  const word = /'(-{0,2}[^' =]+)/.exec(message)?.[1] ?? '';
  if (code === 'commander.unknownOption' && argv[0] === 'run')
    return 'Write -- before the program: portal run -- npm test';
  if (code === 'commander.unknownOption' && argv[0] === 'allow' && (word === '--yes' || word === '-y'))
    return 'portal allow does not ask. Use it without this option.';
  if (code === 'commander.unknownOption') return Object.hasOwn(OPTIONS, word) ? OPTIONS[word] : undefined;
  if (code === 'commander.excessArguments')
    return argv[0] === 'expose' ? protocolHint(argv.slice(1)) : undefined;
  if (code !== 'commander.unknownCommand') return undefined;
  if (isTarget(word)) return `Use: portal expose ${word}. ${PUBLIC_URL}`;
  const meant = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  return typeof meant === 'function' ? meant(argv.slice(argv.indexOf(word) + 1)) : meant;
}

/** `http 3000`, as ngrok has it: the protocol is a flag here, or the default. */
function protocolHint([protocol = '', ...rest]: readonly string[]): string | undefined {
  if (!['http', 'https', 'tcp', 'udp', 'tls'].includes(protocol)) return undefined;
  return (COMMANDS[protocol] as (args: readonly string[]) => string)(rest);
}

/** A port, or a host with a port. */
function isTarget(word: string): boolean {
  return /^(https?:\/\/)?([\w.-]+:)?\d{1,5}\/?$/.test(word);
}
