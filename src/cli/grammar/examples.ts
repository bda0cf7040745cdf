/** A command line and its purpose, for help and docs/reference/cli.md. */
export interface Example {
  readonly run: string;
  readonly does: string;
}

export const PROGRAM_EXAMPLES: readonly Example[] = [
  { run: 'portal init', does: 'write a portal.yaml for this folder' },
  { run: 'portal up', does: 'publish its services, and keep running' },
  { run: 'portal expose 3000', does: 'publish one port, without a file' },
];

/** By the command's full name, without `portal`. */
export const COMMAND_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  up: [
    { run: 'portal up', does: 'publish everything in portal.yaml, and reload it on every save' },
    { run: 'portal up web api', does: 'publish only these two services' },
    { run: 'portal up --wait', does: 'run in the background; return once all are ready' },
  ],
  plan: [
    { run: 'portal plan || [ $? -eq 3 ]', does: 'show changes, and fail only on errors' },
    {
      run: 'portal plan --against origin/main --format markdown || [ $? -eq 3 ]',
      does: 'describe what a pull request changes, as a comment',
    },
  ],
  validate: [
    { run: 'portal validate', does: 'show every error with its line' },
    { run: 'portal validate --print', does: 'print the configuration with variables and overlay filled in' },
  ],
  status: [
    { run: 'portal status web', does: 'show one service and its relays' },
    { run: 'portal status --json', does: 'print JSON, for programs' },
    { run: 'portal status --wait-ready --timeout 30s', does: 'wait in a script or a health check' },
  ],
  list: [{ run: 'portal list --json', does: 'print one relay per line, for programs' }],
  'agents list': [
    { run: 'portal agents', does: 'show machines, services, traffic and names' },
    { run: 'portal agents --relay https://relay.example.com --json', does: 'query one relay, for programs' },
  ],
  'agents disconnect': [
    { run: 'portal agents disconnect 1f0c', does: 'disconnect the agent whose id begins with 1f0c' },
  ],
  'agents release': [{ run: 'portal agents release old-demo', does: 'let others take the name' }],
  'agents page': [{ run: 'portal agents page', does: 'show your agents in a browser, even on a phone' }],
  logs: [
    { run: 'portal logs -f', does: 'show recent events, then new ones' },
    { run: 'portal logs -f web', does: 'show events of one service' },
    { run: 'portal logs --since 10m --tail 20', does: 'show the last 20 events of the last 10 minutes' },
  ],
  run: [
    { run: 'portal run -- npm test', does: 'run tests that know the URL of each service' },
    { run: 'portal run -s api -- npx prisma migrate dev', does: 'use the variables of one service' },
  ],
  env: [{ run: 'portal env web > web.env', does: 'write the variables of a service to a file' }],
  connect: [
    { run: 'portal connect db', does: 'reach a service of portal.yaml on a local port' },
    {
      run: 'portal connect db.relay.example.com --identity 0x371531b8ED16256DE8a3f97A99BA7206788143e0',
      does: 'reach it without a file; the owner tells you the address',
    },
    {
      run: "ssh -o ProxyCommand='portal connect shell --stdio' me@shell",
      does: 'log in over the service `shell`, whose target is port 22',
    },
  ],
  expose: [
    { run: 'portal expose 3000', does: 'publish a local port' },
    { run: 'portal expose localhost:8080 --name demo', does: 'choose the name' },
    { run: 'portal expose 3000 --relay https://relay.example.com', does: 'publish on this relay' },
    { run: 'portal expose 8080 --host-header target', does: 'publish a server that rejects unknown names' },
    {
      run: 'portal expose --http-route /api=3001 --http-route /=5173',
      does: 'publish two services under one URL',
    },
    {
      run: 'portal expose localhost:25565 --tcp --port 25565',
      does: 'publish a game server on a port of the relay',
    },
    {
      run: 'portal expose 8080 --udp --udp-addr 19132',
      does: 'publish a page, and datagrams under the same name',
    },
  ],
  'requests list': [
    { run: 'portal requests --status 5xx,broken --since 2h', does: 'show recent failures' },
    { run: 'portal requests --service api --search "post /orders" --json', does: 'search, for programs' },
  ],
  'requests show': [{ run: 'portal requests show 12-345 --curl', does: 'print one request as a command' }],
  'requests held': [{ run: 'portal requests held --service hooks', does: 'show what waits for a service' }],
  'requests wipe': [{ run: 'portal requests wipe --yes', does: 'delete them without a prompt, for scripts' }],
  'share create': [
    {
      run: 'portal share web --until 2h',
      does: 'print a link that opens the service without its PIN, for two hours',
    },
  ],
  replay: [{ run: 'portal replay 12-345', does: 'send the request again' }],
  init: [
    { run: 'portal init --port 5173', does: 'publish the service on port 5173' },
    { run: 'portal init --from compose.yaml', does: 'publish the ports of a Docker Compose file' },
  ],
  allow: [
    { run: 'portal allow', does: 'allow what this portal.yaml asks for' },
    { run: 'portal allow --list', does: 'show what each file is allowed' },
    { run: 'portal allow --revoke -f app/portal.yaml', does: 'withdraw it for one file' },
  ],
  trust: [
    { run: 'portal trust', does: 'show every store, and whether it trusts the local CA' },
    { run: 'portal trust --install', does: 'trust the local CA in all of them' },
    { run: 'portal trust --uninstall --store firefox', does: 'remove it from Firefox only' },
  ],
  'service install': [
    { run: 'portal service install', does: 'run the portal.yaml of this folder' },
    { run: 'portal service install --print', does: 'show the unit without installing it' },
  ],
  'identity new': [{ run: 'portal identity new --force', does: 'replace the identity, and keep a backup' }],
  'identity export': [
    { run: 'portal identity export --yes > key.txt', does: 'copy the key to another machine' },
  ],
  relay: [
    { run: 'portal relay', does: 'serve *.localhost, with a certificate issued by your local CA' },
    {
      run: 'portal relay --domain relay.example.com --listen :443 --cert chain.pem --key key.pem',
      does: 'run a public relay',
    },
    {
      run: 'portal relay --domain relay.example.com --listen :443 --acme --acme-email ops@example.com',
      does: "get the certificate from Let's Encrypt",
    },
    {
      run: 'portal relay --limit maxSessionsPerIdentity=10 --limit maxBytesPerSecondPerIdentity=10M',
      does: 'set limits',
    },
  ],
  hash: [
    { run: 'portal hash', does: 'ask for a password, and print its hash' },
    { run: 'printf %s "$PASSWORD" | portal hash --algorithm bcrypt', does: 'read the password from a pipe' },
  ],
  doctor: [{ run: 'portal doctor', does: 'show what is missing, and how to fix it' }],
  completion: [
    {
      run: 'mkdir -p ~/.local/share/bash-completion/completions && portal completion bash > ~/.local/share/bash-completion/completions/portal',
      does: 'bash',
    },
    { run: 'portal completion zsh > "${fpath[1]}/_portal"', does: 'zsh' },
    {
      run: 'mkdir -p ~/.config/fish/completions && portal completion fish > ~/.config/fish/completions/portal.fish',
      does: 'fish',
    },
  ],
};

/** The first example of a command, by its full name: `portal share` for `portal share create` as well. */
export function exampleOf(command: string): string | undefined {
  const name = command.replace(/^portal /, '');
  const [, [first] = []] =
    Object.entries(COMMAND_EXAMPLES).find(([key]) => key === name || key.startsWith(`${name} `)) ?? [];
  return first?.run;
}

/** Formats examples in two columns, for the end of a help text. */
/** @param terminal columns of the terminal; undefined without one */
export function exampleText(examples: readonly Example[], terminal = Infinity): string {
  const width = Math.min(Math.max(...examples.map(({ run }) => run.length)), 44);
  const lines = examples.map(({ run, does }) => `  $ ${run.padEnd(width)}  ${does}`);
  const fits = lines.every((line) => line.length <= terminal);
  const shown = fits ? lines : examples.flatMap(({ run, does }) => [`  $ ${run}`, `      ${does}`]);
  return ['', 'Examples:', ...shown, ''].join('\n');
}
