/** A command line and what it is for, as help and docs/reference/cli.md show it. */
export interface Example {
  readonly run: string;
  readonly does: string;
}

export const PROGRAM_EXAMPLES: readonly Example[] = [
  { run: 'portal init', does: 'write a portal.yaml for this folder' },
  { run: 'portal up', does: 'publish its services and stay' },
  { run: 'portal expose 3000', does: 'publish one port, without a file' },
];

/** By the command's full name, without `portal`. */
export const COMMAND_EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  up: [
    { run: 'portal up', does: 'everything in portal.yaml, reloaded at each save' },
    { run: 'portal up web api', does: 'only these two services' },
    { run: 'portal up --wait', does: 'in the background; returns once all are ready' },
  ],
  plan: [
    { run: 'portal plan || [ $? -eq 3 ]', does: 'show changes, and fail only on errors' },
    {
      run: 'portal plan --against origin/main --format markdown || [ $? -eq 3 ]',
      does: 'what a pull request changes, as a comment',
    },
  ],
  validate: [
    { run: 'portal validate', does: 'every error, with its line' },
    { run: 'portal validate --print', does: 'the configuration with variables and overlay filled in' },
  ],
  status: [
    { run: 'portal status --json', does: 'for programs' },
    { run: 'portal status --wait-ready --timeout 30s', does: 'in a script or a health check' },
  ],
  list: [{ run: 'portal list --json', does: 'one relay a line, for programs' }],
  'agents list': [
    { run: 'portal agents', does: 'machines, services, traffic, names' },
    { run: 'portal agents --relay https://relay.example.com --json', does: 'one relay, for programs' },
  ],
  'agents disconnect': [{ run: 'portal agents disconnect 1f0c', does: 'the agent whose id begins so' }],
  'agents release': [{ run: 'portal agents release old-demo', does: 'anybody may have the name then' }],
  'agents page': [{ run: 'portal agents page', does: 'the same in a browser, also on a phone' }],
  logs: [
    { run: 'portal logs -f', does: 'what happened lately, then live' },
    { run: 'portal logs -f web', does: 'the same, of one service' },
  ],
  expose: [
    { run: 'portal expose 3000', does: 'a local port' },
    { run: 'portal expose localhost:8080 --name demo', does: 'under a name of your own' },
    { run: 'portal expose 3000 --relay https://relay.example.com', does: 'on this relay' },
    { run: 'portal expose 8080 --host-header target', does: 'a server that rejects names it does not know' },
    { run: 'portal expose --http-route /api=3001 --http-route /=5173', does: 'two services under one URL' },
    {
      run: 'portal expose localhost:25565 --tcp --port 25565',
      does: 'a game server, on a port of the relay',
    },
    { run: 'portal expose 8080 --udp --udp-addr 19132', does: 'a page, and datagrams under the same name' },
  ],
  'requests list': [
    { run: 'portal requests --status 5xx,broken --since 2h', does: 'what went wrong lately' },
    { run: 'portal requests --service api --search "post /orders" --json', does: 'for programs' },
  ],
  'requests show': [{ run: 'portal requests show 12-345 --curl', does: 'one request, for a shell' }],
  'requests wipe': [{ run: 'portal requests wipe --yes', does: 'in a script' }],
  replay: [{ run: 'portal replay 12-345', does: 'ask the service once more' }],
  init: [
    { run: 'portal init --port 5173', does: 'for the service on port 5173' },
    { run: 'portal init --from compose.yaml', does: 'publish the ports of a Docker Compose file' },
  ],
  allow: [
    { run: 'portal allow', does: 'allow what the portal.yaml here asks for' },
    { run: 'portal allow --list', does: 'show what each file is allowed' },
    { run: 'portal allow --revoke -f app/portal.yaml', does: 'take it back for one file' },
  ],
  trust: [
    { run: 'portal trust', does: 'show every store, and whether it trusts the local CA' },
    { run: 'portal trust --install', does: 'have all of them trust it' },
    { run: 'portal trust --uninstall --store firefox', does: 'remove it from Firefox alone' },
  ],
  'service install': [
    { run: 'portal service install', does: 'for the portal.yaml here' },
    { run: 'portal service install --print', does: 'show what would be installed' },
  ],
  'identity new': [{ run: 'portal identity new --force', does: 'replace the identity, keeping a backup' }],
  'identity export': [{ run: 'portal identity export --yes > key.txt', does: 'take the key elsewhere' }],
  relay: [
    { run: 'portal relay', does: 'for *.localhost, with a certificate of the local CA' },
    {
      run: 'portal relay --domain relay.example.com --listen 0.0.0.0:443 --cert chain.pem --key key.pem',
      does: 'for everyone',
    },
    {
      run: 'portal relay --domain relay.example.com --listen 0.0.0.0:443 --acme --acme-email ops@example.com',
      does: "the same, with a certificate of Let's Encrypt",
    },
    {
      run: 'portal relay --limit maxSessionsPerIdentity=10 --limit maxBytesPerSecondPerIdentity=10M',
      does: 'with limits of your own',
    },
  ],
  doctor: [{ run: 'portal doctor', does: 'what is missing, and what to do about it' }],
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

/** Examples below a help text, in two columns. */
export function exampleText(examples: readonly Example[]): string {
  const width = Math.min(Math.max(...examples.map(({ run }) => run.length)), 44);
  const lines = examples.map(({ run, does }) => `  $ ${run.padEnd(width)}  ${does}`);
  return ['', 'Examples:', ...lines, ''].join('\n');
}
