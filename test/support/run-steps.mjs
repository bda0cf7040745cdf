/**
 * Runs the steps of a page (document-steps.ts), which arrive as JSON on stdin, one after another in a folder, up to the
 * first failure. Prints a JSON object for each: its line, its output, and why it failed. Then sends SIGINT to running
 * programs. test/docs-commands.test.ts starts this in namespaces, which end every remaining program.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { json } from 'node:stream/consumers';

const STEP_MS = 60_000;

const { folder, steps } = await json(process.stdin);
const running = [];

/** Runs `script` in bash. `onOutput` gets all its output so far, `onEnd` its exit code or signal. */
function shell(script, onOutput, onEnd) {
  const options = { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] };
  const child = spawn('bash', ['-eo', 'pipefail', '-c', script], options);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => onOutput((output += text)));
  const ended = new Promise((resolve) => {
    child.once('close', (code, signal) => resolve(onEnd(code ?? signal, output)));
  });
  return { child, ended };
}

/**
 * Runs `script`. Resolves when `check` returns a result for its output or its end, or with a timeout as the problem.
 */
function follow(script, check) {
  return new Promise((resolve) => {
    let latest = '';
    const done = (result) => {
      clearTimeout(timer);
      resolve({ output: latest, ...result });
    };
    const look = (output, ended) => {
      latest = output;
      const result = check(output, ended);
      if (result) done(result);
    };
    const timer = setTimeout(
      () => done({ problem: `still waiting after ${STEP_MS / 1000} seconds` }),
      STEP_MS,
    );
    running.push(shell(script, look, (how, output) => look(output, how)));
  });
}

const RUN = {
  run: ({ script, exit }) =>
    follow(script, (_, ended) => {
      if (ended === undefined) return undefined;
      return ended === exit ? {} : { problem: `exits with ${ended}, not ${exit}` };
    }),
  start: ({ script, until }) =>
    follow(script, (output, ended) => {
      if (output.includes(until)) return {};
      return ended === undefined ? undefined : { problem: `ended (${ended}) before it printed "${until}"` };
    }),
  async file({ name, text }) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
    return { output: '' };
  },
  async service({ port }) {
    // After the whole body: a request that got its response earlier cannot be replayed.
    const server = createServer((request, response) =>
      request.resume().once('end', () => response.end(`hello from port ${port}\n`)),
    );
    await new Promise((resolve) => server.listen(port, resolve));
    return { output: '' };
  },
  // The caller compares it with the output of the previous step.
  prints: async () => ({ output: '' }),
};

for (const step of steps) {
  const result = await RUN[step.kind](step);
  process.stdout.write(`${JSON.stringify({ line: step.line, ...result })}\n`);
  if (result.problem) break;
}
for (const { child } of running) if (child.exitCode === null) process.kill(-child.pid, 'SIGINT');
await Promise.all(running.map(({ ended }) => ended));
process.exit();
