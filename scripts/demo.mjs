/**
 * Two sample services, and `portal up` on examples/portal.yaml in front of them. Ctrl-C ends all of it.
 * Run: node scripts/demo.mjs, after a build.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { main } from '../dist/cli/main.js';

const SERVICES = 2;
const path = (relative) => fileURLToPath(new URL(`../${relative}`, import.meta.url));

// In a process group of their own, they do not get the terminal's Ctrl-C: they answer until `portal up` has
// drained and this process ends, which they see by their channel to it closing.
const services = fork(path('examples/services.mjs'), {
  detached: true,
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
});
const failed = once(services, 'exit').then(([code]) => {
  process.stderr.write('the sample services ended; the demo needs them\n');
  process.exit(code || 1);
});
for (let listening = 0; listening < SERVICES; listening += 1) {
  await Promise.race([once(services, 'message'), failed]);
}

await main([process.execPath, path('bin/portal.js'), 'up', '-f', path('examples/portal.yaml')]);
