/** The network of the chaos harness accepts new machines while others run. */
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/folder.js';

interface Network {
  open: () => Promise<void>;
  add: (name: string) => Promise<unknown>;
  onSwitch: (...command: string[]) => [file: string, ...args: string[]];
}

async function load<T>(file: string): Promise<T> {
  // Imported through a variable, because these files are not TypeScript.
  return (await import(pathToFileURL(`chaos/lib/${file}`).href)) as T;
}

const { whyNot } = await load<{ whyNot: () => string | undefined }>('can.mjs');

it('the switch keeps its hardware address when machines are added', async (context) => {
  const why = whyNot();
  if (why !== undefined) context.skip(why);
  const { Network: Net } = await load<{ Network: new (folder: string) => Network }>('network.mjs');
  const { killEverything } = await load<{ killEverything: () => Promise<void> }>('program.mjs');
  onTestFinished(killEverything);
  const folder = await temporaryFolder();
  const network = new Net(folder);
  await network.open();
  const address = (): string => {
    const [file, ...args] = network.onSwitch('ip', '-brief', 'link', 'show', 'br0');
    return /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(execFileSync(file, args, { encoding: 'utf8' }))![0];
  };
  const before = address();
  for (const name of ['m1', 'm2', 'm3', 'm4', 'm5', 'm6']) {
    await mkdir(join(folder, name, 'disk'), { recursive: true });
    await network.add(name);
  }
  expect(address()).toBe(before);
});
