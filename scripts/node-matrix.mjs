/**
 * Runs the quick tests on each Node that Portal supports, and starts the program on some that it does not support: `npm
 * run test:nodes`, or `node scripts/node-matrix.mjs 22 18` for some of them. npm downloads the versions. A version that
 * npm cannot download is skipped with the reason. Exits with 1 if a test failed.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SUPPORTED = ['20', '22', '24'];
const TOO_OLD = ['12', '16', '18'];
const HELP = `Usage: npm run test:nodes -- [MAJOR...]

Runs the quick tests on Node ${SUPPORTED.join(', ')}, and starts the program on Node ${TOO_OLD.join(', ')}, which it refuses.
With major versions (npm run test:nodes -- 22 18), only on those; with --others, on all but the Node that runs this.
npm fetches the versions.
`;
const CONFIG = 'scripts/node-matrix.config.mjs';
const FETCH_MS = 45_000;
const TESTS_MS = 300_000;
const START_MS = 20_000;

const run = promisify(execFile);
const cwd = fileURLToPath(new URL('..', import.meta.url));
if (process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(HELP);
  process.exit(0);
}
const own = process.versions.node.split('.')[0];
const asked = process.argv.slice(2).filter((argument) => argument !== '--others');
const all = asked.length > 0 ? asked : [...SUPPORTED, ...TOO_OLD];
const wanted = process.argv.includes('--others') ? all.filter((major) => major !== own) : all;

await run(process.execPath, ['scripts/build.mjs', '--if-stale'], { cwd });
// In parallel, because downloads mostly wait for the network.
const folder = mkdtempSync(join(tmpdir(), 'portal-nodes-'));
try {
  await Promise.all(wanted.map(check));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function check(major) {
  const { path, reason } = await find(major);
  if (path === undefined) process.stdout.write(`skipped Node ${major}: ${reason}\n`);
  else if (SUPPORTED.includes(major)) await test(path);
  else await refuse(path);
}

/** The Node program of a major version's newest release: only the package for this platform. */
async function find(major) {
  if (own === major) return { path: process.execPath };
  const at = join(folder, major);
  mkdirSync(at);
  const from = { cwd: at, timeout: FETCH_MS };
  try {
    await run('npm', ['pack', '--loglevel=error', `node-${process.platform}-${process.arch}@${major}`], from);
    await run('tar', ['-xzf', ...readdirSync(at), 'package/bin/node'], from);
    return { path: join(at, 'package/bin/node') };
  } catch (error) {
    const [why = error.message] = String(error.stderr).match(/(?<=^npm error ).+$/m) ?? [];
    return { reason: `npm cannot download it (${why.trim()})` };
  }
}

async function test(path) {
  const startedAt = performance.now();
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(path, ['node_modules/vitest/vitest.mjs', 'run', '--config', CONFIG], {
    cwd,
    env: { ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TESTS_MS,
    killSignal: 'SIGKILL',
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const [code, signal] = await new Promise((resolve) => child.once('close', (...end) => resolve(end)));
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  const counts = /^\s*Tests\s+(.*)$/m.exec(text)?.[1] ?? 'no test ran';
  const outcome = code === 0 ? counts : `FAILED, ${signal ?? counts}`;
  const details = code === 0 ? (text.match(/^skipped: .*$/gm) ?? []).join('\n') : text;
  report(code === 0, `Node ${await versionOf(path)}: ${outcome} (${seconds} s)\n${details}`.trimEnd());
}

/** On a Node that is too old, the program reports that in one sentence. */
async function refuse(path) {
  const version = await versionOf(path);
  const outcome = await run(path, ['bin/portal.js', '--version'], { cwd, timeout: START_MS }).catch(
    (error) => error,
  );
  const isRejected =
    outcome.code === 2 && /^error: Portal needs Node [\d.]+ or newer, .*\n$/.test(outcome.stderr);
  report(
    isRejected,
    `Node ${version}: ${isRejected ? 'rejected in one sentence' : `FAILED: ${outcome.stderr ?? ''}`}`,
  );
}

async function versionOf(path) {
  return (await run(path, ['-p', 'process.versions.node'])).stdout.trim();
}

function report(isSound, text) {
  if (!isSound) process.exitCode = 1;
  process.stdout.write(`${text}\n`);
}
