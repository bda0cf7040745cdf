/**
 * Runs every check except the tests, in parallel: `npm run check`. Prints the output of each check when it ends, and
 * exits with 1 if one failed.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** By name: npm scripts, with arguments, that run one after another. The slowest come first. */
const CHECKS = {
  lint: ['lint', 'words'],
  build: ['build -- --if-stale', 'generate:check'],
  types: ['typecheck'],
  unused: ['unused'],
  format: ['format:check'],
};

const waiting = Object.entries(CHECKS);
const failed = [];
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, work));
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.join(', ')}\n`);
  process.exitCode = 1;
}

async function work() {
  for (let next; (next = waiting.shift());) {
    const [name, scripts] = next;
    const startedAt = performance.now();
    let output = '';
    let isSound = true;
    for (const script of scripts) {
      if (!isSound) break;
      const { code, text } = await run(script);
      output += text;
      isSound = code === 0;
    }
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    process.stdout.write(
      `${isSound ? 'ok' : 'FAILED'} ${name} (${seconds} s)\n${output && `${output.trimEnd()}\n`}`,
    );
    if (!isSound) failed.push(name);
  }
}

function run(script) {
  const child = spawn('npm', ['run', '--silent', ...script.split(' ')], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, text }));
  });
}
