/**
 * Starts the sample services, and `portal up` with examples/portal.yaml in front of them. Ctrl-C ends all of them. Run:
 * node scripts/demo.mjs, after a build.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from '../dist/portal/main.js';

/** The page, the API, and the UDP echo. */
const SERVICES = 3;
/** The port of the embedded relay in examples/portal.yaml. */
const RELAY_PORT = 8443;
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
const listening = await new Promise((resolve) => {
  const all = [];
  services.on('message', (service) => {
    if (all.push(service) === SERVICES) resolve(all);
  });
});

// The PIN is public, unlike one from the environment.
const pin = /\$\{APP_PIN:-([^}]+)\}/.exec(readFileSync(path('examples/portal.yaml'), 'utf8'))[1];
if (!process.env.APP_PIN) process.stderr.write(`app: PIN ${pin} (a sample)\n`);

const relay = { wanted: RELAY_PORT, port: await freePort(RELAY_PORT) };
await main([process.execPath, path('bin/portal.js'), 'up', '-f', fileFor([...listening, relay])]);

/** The first port from `wanted` on, in steps of ten, on which nothing listens. */
async function freePort(wanted) {
  for (let port = wanted; port < wanted + 200; port += 10) {
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await new Promise((resolve) => {
      server.once('listening', () => resolve(true)).once('error', () => resolve(false));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
  return wanted;
}

/** examples/portal.yaml, or a copy of it with other ports. */
function fileFor(all) {
  const file = path('examples/portal.yaml');
  const moved = all.filter(({ wanted, port }) => port !== wanted);
  if (moved.length === 0) return file;
  const folder = mkdtempSync(join(tmpdir(), 'portal-demo-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const copy = join(folder, 'portal.yaml');
  const ports = new Map(moved.map(({ wanted, port }) => [String(wanted), String(port)]));
  const text = readFileSync(file, 'utf8').replace(/\b\d+\b/g, (number) => ports.get(number) ?? number);
  writeFileSync(copy, text);
  process.stderr.write(`the demo uses a copy of examples/portal.yaml with these ports:\n  ${copy}\n`);
  return copy;
}
