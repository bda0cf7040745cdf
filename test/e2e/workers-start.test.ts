import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('reports a worker that the system cannot start', async () => {
  const path = fileURLToPath(new URL('../support/workers-without-node.mjs', import.meta.url));
  const child = spawn(process.execPath, [path]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  expect([await once(child, 'close'), output]).toEqual([
    [0, null],
    expect.stringMatching(
      /^worker w\d could not run: spawn \/nonexistent\/node ENOENT while it was starting\n$/,
    ),
  ]);
});
