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

describe('words of other programs', () => {
  it.each([
    [['http', '3000'], 'Use: portal expose 3000'],
    [['http', '--region', 'eu', '3000'], 'Use: portal expose 3000'],
    [['tcp', 'localhost:22'], 'Use: portal expose localhost:22 --tcp'],
    [['http'], 'Use: portal expose PORT'],
    [['3000'], 'Use: portal expose 3000'],
    [['localhost:3000'], 'Use: portal expose localhost:3000'],
    [['http://localhost:3000'], 'Use: portal expose http://localhost:3000'],
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
