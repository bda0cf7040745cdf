import { closeSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Guardian } from '../../dist/modules/agent/commands/guardian.js';
import { Program } from '../../dist/modules/agent/commands/program.js';

/**
 * Starts a program while no file descriptor is free, and frees them once the start has failed. Prints the states, and ends once the
 * program runs.
 */

const held = [];
const states = [];
const guardian = new Guardian();
const program = new Program({
  command: { run: 'sleep 60', cwd: tmpdir(), env: {} },
  guardian,
  environment: () => Promise.resolve(process.env),
  onLine: () => undefined,
  onState: ({ state }) => {
    states.push(state);
    if (state === 'exited') for (const descriptor of held.splice(0)) closeSync(descriptor);
    if (state === 'running') void end();
  },
});

async function end() {
  await program.stop();
  await guardian.close();
  process.stdout.write(`${states.join(' ')}\n`);
}

try {
  for (;;) held.push(openSync('/dev/null', 'r'));
} catch {
  // None is free.
}
