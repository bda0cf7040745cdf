import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { createProgram, grammarOnly } from './program.js';
import { wrapWords } from '../text/wrap.js';

/** The parsed options that a command runs with. */
async function optionsOf(...args: string[]): Promise<Record<string, unknown>> {
  let options: Record<string, unknown> = {};
  const program = createProgram({
    write: () => undefined,
    execute: () =>
      function (): Promise<void> {
        options = this.opts();
        return Promise.resolve();
      },
  });
  await program.parseAsync(args, { from: 'user' });
  return options;
}

it.each([
  ['Relay.Example.COM.', 'relay.example.com'],
  ['localhost', 'localhost'],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
])("reads the relay's domain %s as %s", async (typed, meant) => {
  expect(await optionsOf('relay', '--domain', typed)).toMatchObject({ domain: meant });
});

it.each(['https://relay.test', 'relay.test:443', '*.relay.test', '10.0.0.1', 'a..test', '-a.test', ''])(
  "rejects %j as a relay's domain",
  async (typed) => {
    await expect(optionsOf('relay', '--domain', typed)).rejects.toThrow('Use a domain');
  },
);

it.each(['last week 3', '-5m', '-5', 'yesterday', '2026-13-01', ''])(
  'rejects %j as the time of --since',
  async (text) => {
    await expect(optionsOf('requests', `--since=${text}`)).rejects.toThrow('Use a time');
  },
);

it('--since accepts a date', async () => {
  expect(await optionsOf('requests', '--since', '2026-01-31T18:00:00Z')).toMatchObject({
    since: Date.UTC(2026, 0, 31, 18),
  });
});

it.each(['', ' '])('rejects %j as the id of an agent', async (id) => {
  await expect(optionsOf('agents', 'disconnect', id)).rejects.toThrow('must not be empty');
});

it.each([
  ['30', 30_000],
  ['30s', 30_000],
  ['5m', 300_000],
  ['0.5', 500],
])('accepts %s as a timeout', async (text, ms) => {
  expect(await optionsOf('up', '--timeout', text)).toMatchObject({ timeout: ms });
  expect(await optionsOf('status', '--timeout', text)).toMatchObject({ timeout: ms });
  expect(await optionsOf('relay', '--drain', text)).toMatchObject({ drain: ms });
});

it('rejects a timeout of 0 for up', async () => {
  await expect(optionsOf('up', '--timeout', '0')).rejects.toThrow('above 0');
});

it.each([
  ['expose', '--allow-ip', 'allowIp', '85.99.254.169', '10.0.0.0/8'],
  ['expose', '--relay', 'relay', 'https://a.test', 'https://b.test'],
  ['doctor', '--dns', 'dns', '192.0.2.1', '[::1]:53'],
  ['relay', '--peer', 'peer', 'https://a.test', 'https://b.test'],
  ['relay', '--limit', 'limit', 'maxSessions=5', 'graceMs=0'],
  ['requests', '--service', 'service', 'web', 'api'],
  ['trust', '--store', 'store', 'system', 'firefox'],
])('portal %s accepts %s twice, or with a comma', async (command, flag, name, one, two) => {
  const each = { [name]: [one, two] };
  expect(await optionsOf(command, flag, `${one},${two}`)).toMatchObject(each);
  expect(await optionsOf(command, flag, `${one}, ${two}`)).toMatchObject(each);
  expect(await optionsOf(command, flag, one, flag, two)).toMatchObject(each);
  await expect(optionsOf(command, flag, `${one},`)).rejects.toThrow(/A value is empty|Use a store/);
});

it('accepts a comma in a route', async () => {
  expect(await optionsOf('expose', '--http-route', '/a,b=3000')).toMatchObject({ httpRoute: ['/a,b=3000'] });
});

const commandsAfter = (first: string): readonly Command[] =>
  createProgram({ first, execute: () => () => Promise.resolve(), write: () => undefined }).commands;
const namesOf = (commands: readonly Command[]): string[] => commands.map((command) => command.name());
const allNames = namesOf(grammarOnly().commands);

it.each(grammarOnly().commands.map((command) => [command.name(), command] as const))(
  'shows the same help of %s if only its group is added',
  (name, command) => {
    const alone = commandsAfter(name).find((each) => each.name() === name);
    expect(alone?.helpInformation()).toBe(command.helpInformation());
  },
);

it.each(allNames.filter((name) => name !== 'help'))('adds few other commands for %s', (name) => {
  expect(commandsAfter(name).length).toBeLessThan(allNames.length / 2);
});

it.each(['', 'typo', '--json', 'help'])('adds all commands if the first argument is %j', (first) => {
  expect(namesOf(commandsAfter(first))).toEqual(allNames);
});

/** The help of a command on a terminal of this width. */
function helpOf(command: Command, columns: number): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => columns });
  command.outputHelp();
  return wrapWords(text, columns);
}

it.each([100, 80, 50])('wraps the help of every command between words at %i columns', (columns) => {
  const program = grammarOnly();
  for (const command of [program, ...program.commands]) {
    const help = helpOf(command, columns);
    const tooLong = help.split('\n').filter((line) => line.length > columns);
    expect({ name: command.name(), tooLong }).toEqual({ name: command.name(), tooLong: [] });
  }
});

it('puts descriptions below their terms on a narrow terminal', () => {
  const help = helpOf(grammarOnly(), 50);
  expect(help).toContain('  init [options]\n      write a small portal.yaml for this folder\n');
  expect(help).toContain('  $ portal init\n      write a portal.yaml for this folder\n');
});
