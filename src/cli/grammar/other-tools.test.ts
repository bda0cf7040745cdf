import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { otherToolHint } from './other-tools.js';

const command = (...argv: string[]): string | undefined =>
  otherToolHint(
    new CommanderError(1, 'commander.unknownCommand', `error: unknown command '${argv[0]}'`),
    argv,
  );
const option = (name: string): string | undefined =>
  otherToolHint(new CommanderError(1, 'commander.unknownOption', `error: unknown option '${name}'`), [
    'expose',
    '3000',
    name,
  ]);

const PUBLIC = 'For a public URL, add --relay URL with the address of your relay.';

describe('words of other programs', () => {
  it.each([
    [['http', '3000'], `Use: portal expose 3000. ${PUBLIC}`],
    [['http', '--region', 'eu', '3000'], `Use: portal expose 3000. ${PUBLIC}`],
    [['tcp', 'localhost:22'], `Use: portal expose localhost:22 --tcp. ${PUBLIC}`],
    [['http'], `Use: portal expose PORT. ${PUBLIC}`],
    [['3000'], `Use: portal expose 3000. ${PUBLIC}`],
    [['localhost:3000'], `Use: portal expose localhost:3000. ${PUBLIC}`],
    [['http://localhost:3000'], `Use: portal expose http://localhost:3000. ${PUBLIC}`],
    [['http', '--url=foo.ngrok.app', '80'], `Use: portal expose 80 --name foo. ${PUBLIC}`],
    [['tunnel', '--url', 'http://localhost:3000'], `Use: portal expose http://localhost:3000. ${PUBLIC}`],
    [['tunnel', 'run', 'web'], 'Use: portal up'],
    [
      ['tunnel', 'create', 'web'],
      'Portal has no tunnels to create or delete: portal.yaml names the services. Use: portal up',
    ],
    [
      ['verify', '-c', 'frpc.toml'],
      'Use: portal validate. To convert the configuration of another program: portal init --from FILE',
    ],
    [['start', '--all'], 'Use: portal up'],
    [['wait'], 'Use: portal status --wait-ready, or portal up --wait to start the agent as well'],
    [['login'], 'Portal has no accounts. Your identity is a key on this machine: portal identity'],
    [
      ['demo'],
      'Use: portal init, then portal up. In a checkout of the source of Portal, `npm run demo` starts a demo.',
    ],
    [
      ['inspect'],
      'Use: portal requests. To record them, set `inspect: true` on the service, or use portal expose PORT --inspect.',
    ],
    [['toString'], undefined],
    [['lgos'], undefined],
  ])('names Portal’s command for %j', (argv, hint) => {
    expect(command(...argv)).toBe(hint);
  });

  it.each([
    ['--subdomain', 'Use: --name NAME'],
    ['--subdomain=shop', 'Use: --name NAME'],
    ['--basic-auth', 'Use: --pin PIN. For user names and passwords, set `access.basic` in portal.yaml.'],
    ['-p', 'Give the port as an argument: portal expose 3000'],
    ['--nmae', undefined],
  ])('names Portal’s option for %s', (name, hint) => {
    expect(option(name)).toBe(hint);
  });

  it.each([
    [['expose', 'http', '3000'], `Use: portal expose 3000. ${PUBLIC}`],
    [['expose', 'tcp', '22'], `Use: portal expose 22 --tcp. ${PUBLIC}`],
    [['expose', 'udp', '53', '--relay', 'https://r.example.com'], `Use: portal expose 53 --udp. ${PUBLIC}`],
    [['expose', '3000', '4000'], undefined],
  ])('names the argument that %j means', (argv, hint) => {
    const error = new CommanderError(
      1,
      'commander.excessArguments',
      "error: too many arguments for 'expose'. Expected 1 argument but got 2: x, y.",
    );
    expect(otherToolHint(error, argv)).toBe(hint);
  });
});
