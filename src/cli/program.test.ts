import { expect, it } from 'vitest';
import { createProgram } from './program.js';

/** The options that a command is run with, as they were understood. */
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
])("a relay's domain %s is %s to visitors", async (typed, meant) => {
  expect(await optionsOf('relay', '--domain', typed)).toMatchObject({ domain: meant });
});

it.each(['https://relay.test', 'relay.test:443', '*.relay.test', '10.0.0.1', 'a..test', '-a.test', ''])(
  "a relay's domain is not %j",
  async (typed) => {
    await expect(optionsOf('relay', '--domain', typed)).rejects.toThrow('It is a domain');
  },
);
