import { execFile } from 'node:child_process';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Desired } from '../../config/desired.js';
import { PortalError, systemCode } from '../../lib/errors.js';
import { plan, placements, type Action } from '../../reconcile/plan.js';
import { load, loadOptions } from '../../library/load.js';
import type { Context } from '../context.js';

const run = promisify(execFile);
const GIT_MS = 10_000;
/** More than the size limit of a configuration. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * The changes from `file` at the git commit `ref` to the file now. Ignores portal.local.yaml, which is personal.
 * Contacts no agent or relay.
 */
export async function planAgainst(context: Context, file: string, ref: string): Promise<Action[]> {
  const { readFile } = await import('node:fs/promises');
  const [before, now] = await Promise.all([textAt(file, ref), readFile(file, 'utf8')]);
  const loaded = async (text: string): Promise<Desired> => {
    const from = { ...context, cwd: dirname(file), stdin: context.stdin };
    const options = loadOptions(from, '-');
    return (await load({ ...options, stdin: () => Promise.resolve(text) })).desired;
  };
  const active = before === undefined ? [] : [...placements(await loaded(before)).values()];
  return plan(
    await loaded(now),
    active.map((place) => ({ ...place, retiring: false })),
  );
}

/** The text of the file at `ref`; undefined if it does not exist there. */
async function textAt(file: string, ref: string): Promise<string | undefined> {
  const git = (...args: string[]): Promise<{ stdout: string }> =>
    run('git', ['-C', dirname(file), ...args], { timeout: GIT_MS, maxBuffer: MAX_BYTES });
  await git('rev-parse', '--git-dir').catch((error: unknown) => {
    throw noRepository(dirname(file), error);
  });
  if (ref.startsWith('-')) throw unknown(ref);
  await git('rev-parse', '--verify', '--quiet', `${ref}^{commit}`).catch((error: unknown) => {
    throw unknown(ref, error);
  });
  const path = `./${basename(file)}`;
  const { stdout } = await git('ls-tree', '--name-only', ref, '--', path);
  return stdout.trim() === '' ? undefined : (await git('cat-file', 'blob', `${ref}:${path}`)).stdout;
}

function noRepository(folder: string, cause: unknown): PortalError {
  const isMissing = systemCode(cause) === 'ENOENT';
  // In any language: "not a git repository", or another owner of the folder.
  const [why = ''] = ((cause as { stderr?: string }).stderr ?? '').split('\n');
  return new PortalError(
    'usage',
    isMissing ? 'git is not installed' : `git does not open ${folder}: ${why.replace(/^fatal: /, '')}`,
    {
      cause,
      hint: '--against needs portal.yaml in a git repository. Without --against, `portal plan` compares with the running configuration.',
    },
  );
}

const unknown = (ref: string, cause?: unknown): PortalError =>
  new PortalError('usage', `"${ref}" is not a commit of this git repository`, {
    cause,
    hint: 'Name a branch, a tag or a commit, such as origin/main. In CI, fetch it first.',
  });
