import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from './support/folder.js';

const run = promisify(execFile);
const PORTAL = fileURLToPath(new URL('../bin/portal.js', import.meta.url));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `portal --version` in a process that pretends to be Node `version`. */
function onNode(version: string): Promise<Outcome> {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`;
  const preload = `data:text/javascript,${encodeURIComponent(pretend)}`;
  return run(process.execPath, ['--import', preload, PORTAL, '--version'], { timeout: 20_000 }).then(
    (output) => ({ code: 0, ...output }),
    (error: unknown) => error as Outcome,
  );
}

// scripts/node-matrix.mjs runs the same test on real versions of Node.
describe('the minimum version of Node', () => {
  it.each(['12.22.12', '18.20.8', '20.18.3'])(
    'reports an older Node in one sentence: %s',
    async (version) => {
      const { code, stdout, stderr } = await onNode(version);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toBe(
        `error: Portal needs Node 20.19 or newer, and this is Node ${version}. Install Node 24 from https://nodejs.org.\n`,
      );
    },
  );

  it.each(['20.19.0', '22.0.0', '24.11.1'])('accepts %s', async (version) => {
    expect(await onNode(version)).toMatchObject({ code: 0, stderr: '' });
  });

  it('is the one in package.json', async () => {
    const { engines } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
      engines: { node: string };
    };
    const [, major, minor] = /const MINIMUM = \[(\d+), (\d+)\]/.exec(await readFile(PORTAL, 'utf8'))!;
    expect(engines.node).toBe(`>=${major}.${minor}`);
  });

  it('an older Node can parse bin/portal.js: it has no static import and no top-level await', async () => {
    const text = (await readFile(PORTAL, 'utf8')).replaceAll(/\/\/.*/g, '');
    expect(text).not.toMatch(/^\s*import\s[^(]|\bawait\b|\?\?|\?\.|node:/m);
  });
});

it('a checkout without a build says what to run', async () => {
  const folder = await temporaryFolder();
  await cp(fileURLToPath(new URL('../bin', import.meta.url)), join(folder, 'bin'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  const outcome = await run(process.execPath, [join(folder, 'bin/portal.js'), 'up']).catch(
    (error: unknown) => error as Outcome,
  );
  expect(outcome).toMatchObject({
    code: 1,
    stdout: '',
    stderr: 'error: Portal is not built yet. Run `npm run build` in its folder.\n',
  });
});

describe('name lookups', () => {
  it('have threads of their own, a setting that programs do not inherit unless the user made it', async () => {
    const tell = 'process.on("exit", () => console.log(process.env.UV_THREADPOOL_SIZE))';
    const args = ['--import', `data:text/javascript,${encodeURIComponent(tell)}`, PORTAL, '--version'];
    const threads = async (set: string): Promise<string | undefined> => {
      const env = { ...process.env, UV_THREADPOOL_SIZE: set };
      return (await run(process.execPath, args, { env, timeout: 20_000 })).stdout.trim().split('\n').at(-1);
    };
    // Programs that Portal starts do not inherit the setting.
    expect(await threads('')).toBe('undefined');
    expect(await threads('5')).toBe('5');
  });
});
