/**
 * Starts the sample services, and `portal up` with examples/portal.yaml in front of them. Ctrl-C ends all of them. Run:
 * node scripts/demo.mjs, after a build.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { main } from '../dist/portal/main.js';

/** The page, the API, and the UDP echo. */
const SERVICES = 3;
const path = (relative) => fileURLToPath(new URL(`../${relative}`, import.meta.url));

// They have a separate process group, so the terminal's Ctrl-C does not reach them. They respond until `portal up`
// has drained and this process exits, which closes their IPC channel.
const services = fork(path('examples/services.mjs'), {
  detached: true,
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
});
services.once('exit', (code) => {
  process.stderr.write('the sample services ended; the demo needs them\n');
  process.exit(code || 1);
});
await new Promise((resolve) => {
  let listening = 0;
  services.on('message', () => {
    listening += 1;
    if (listening === SERVICES) resolve();
  });
});

await main([process.execPath, path('bin/portal.js'), 'up', '-f', path('examples/portal.yaml')]);
