import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, type TestContext } from 'vitest';
import { programFor } from './support/debian.js';
import { missingLines, stepsOf, type Step } from './support/document-steps.js';
import { temporaryFolder } from './support/folder.js';

/** The marked commands of Start and Guides work as written. CONTRIBUTING.md lists the marks. */

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE_MS = 300_000;

const pages = [
  'docs/start.md',
  ...readdirSync(join(root, 'docs/guides')).map((name) => `docs/guides/${name}`),
]
  .filter((path) => path.endsWith('.md') && existsSync(join(root, path)))
  .map((path) => ({ path, steps: stepsOf(readFileSync(join(root, path), 'utf8')) }))
  .filter(({ steps }) => steps.length > 0);

interface Result {
  readonly line: number;
  readonly output: string;
  readonly problem?: string;
}

/** A reader's machine: an empty home, a working folder, `portal` and `npx portal-up` on the PATH. */
async function reader(): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const home = await temporaryFolder();
  const [folder, bin] = [join(home, 'project'), join(home, 'bin')];
  for (const path of [folder, bin]) mkdirSync(path);
  const portal = join(root, 'bin/portal.js');
  symlinkSync(portal, join(bin, 'portal'));
  writeFileSync(join(bin, 'npx'), `#!/bin/sh\n[ "$1" = portal-up ] && shift && exec '${portal}' "$@"\n`, {
    mode: 0o755,
  });
  const { PATH, LANG } = process.env;
  // The reader answers y to the permissions that portal.yaml requests.
  return { folder, env: { HOME: home, PATH: `${bin}:${PATH}`, LANG, PORTAL_ALLOW: '1' } };
}

/** A prefix for commands that makes every port free, and ends their processes with the command. */
async function apart(context: TestContext): Promise<string[]> {
  if (process.platform !== 'linux') context.skip('namespaces of ports and processes need Linux');
  const unshare = await programFor(context, 'unshare');
  const ip = await programFor(context, 'ip');
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const up = `"${ip}" link set lo up || exit 99; exec "$@"`;
  return [unshare, ...asRoot, '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', up, 'sh'];
}

async function follow(context: TestContext, steps: readonly Step[]): Promise<Result[]> {
  const [command, ...args] = await apart(context);
  const { folder, env } = await reader();
  const child = spawn(command!, [...args, process.execPath, join(root, 'test/support/run-steps.mjs')], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(JSON.stringify({ folder, steps }));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (/unshare failed|Operation not permitted/.test(stderr)) context.skip(`no namespaces here: ${stderr}`);
  expect(stderr).toBe('');
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Result);
}

/** One line for each problem. */
function problems(steps: readonly Step[], results: readonly Result[]): string[] {
  let output = '';
  return results.flatMap((result, index) => {
    const step = steps[index]!;
    if (result.problem) return [`line ${step.line}: ${result.problem}\n${result.output}`];
    if (step.kind === 'run' || step.kind === 'start') output = result.output;
    if (step.kind !== 'prints') return [];
    return missingLines(output, step.lines).map(
      (line) => `line ${step.line}: not printed: ${line}\n${output}`,
    );
  });
}

describe.each(pages)('$path', ({ steps }) => {
  it(
    'shows commands that work as written',
    async (context) => {
      if (steps.some((step) => 'script' in step && step.script.includes('curl')))
        await programFor(context, 'curl');
      const results = await follow(context, steps);
      expect(problems(steps, results)).toEqual([]);
      expect(results.length).toBe(steps.length);
    },
    PAGE_MS,
  );
});
