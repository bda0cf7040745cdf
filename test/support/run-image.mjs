/**
 * Runs an image as Docker does: starts its ENTRYPOINT, runs its HEALTHCHECK until it passes, stops it. Prints the
 * results as JSON. Its one argument is JSON too: see images.test.ts.
 */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

const { start, check, exec, cwd, env, uid, gid, stopSignal, boundMs } = JSON.parse(process.argv[2]);
const options = { cwd, env, ...(uid !== undefined && { uid, gid }) };

function run([command, ...args]) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, output: String(error) }));
    child.once('close', (code, signal) => resolve({ code, signal, output }));
  });
  return { child, ended };
}

const container = run(start);
const until = performance.now() + boundMs;
let last;
do {
  last = await run(check).ended;
  if (last.code !== 0) await delay(200);
} while (last.code !== 0 && container.child.exitCode === null && performance.now() < until);
const inside = last.code === 0 ? await run(exec).ended : undefined;
container.child.kill(stopSignal);
const kill = setTimeout(() => container.child.kill('SIGKILL'), 20_000);
const stopped = await container.ended;
clearTimeout(kill);
process.stdout.write(`${JSON.stringify({ check: last, exec: inside, stopped })}\n`);
