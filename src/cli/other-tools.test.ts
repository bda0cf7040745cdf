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
    [['toString'], undefined],
    [['lgos'], undefined],
  ])('names Portal’s command for %j', (argv, hint) => {
    expect(command(...argv)).toBe(hint);
  });

  it.each([
    ['--subdomain', 'Use: --name NAME'],
    ['--subdomain=shop', 'Use: --name NAME'],
    ['--basic-auth', 'Use: --pin PIN'],
    ['--nmae', undefined],
  ])('names Portal’s option for %s', (name, hint) => {
    expect(option(name)).toBe(hint);
  });
});
