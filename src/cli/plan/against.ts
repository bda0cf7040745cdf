import { basename, dirname } from 'node:path';
import type { Desired } from '../../config/desired.js';
import type { Files } from '../../config/files/read-text.js';
import { PortalError, systemCode } from '../../lib/errors.js';
import { plan, placements, type Action } from '../../reconcile/plan.js';
import { load, loadOptions } from '../../library/load.js';
import type { Context } from '../context.js';
import { filesAt, gitIn, textAt } from './git-files.js';

/**
 * The changes from `file` at the git commit `ref` to the file now, with the files that it names. Ignores portal.local.yaml, which is personal.
 * Contacts no agent or relay.
 */
export async function planAgainst(context: Context, file: string, ref: string): Promise<Action[]> {
  const { readFile } = await import('node:fs/promises');
  const [before, now] = await Promise.all([textOf(file, ref), readFile(file, 'utf8')]);
  const loaded = async (text: string, files?: Files): Promise<Desired> => {
    const from = { ...context, cwd: dirname(file), stdin: context.stdin };
    const options = loadOptions(from, '-');
    return (await load({ ...options, stdin: () => Promise.resolve(text), ...(files && { files }) })).desired;
  };
  const active =
    before === undefined ? [] : [...placements(await loaded(before, filesAt(dirname(file), ref))).values()];
  return plan(
    await loaded(now),
    active.map((place) => ({ ...place, retiring: false })),
  );
}

/** The text of the file at `ref`; undefined if it does not exist there. */
async function textOf(file: string, ref: string): Promise<string | undefined> {
  const git = gitIn(dirname(file));
  await git('rev-parse', '--git-dir').catch((error: unknown) => {
    throw noRepository(dirname(file), error);
  });
  if (ref.startsWith('-')) throw unknown(ref);
  await git('rev-parse', '--verify', '--quiet', `${ref}^{commit}`).catch((error: unknown) => {
    throw unknown(ref, error);
  });
  return textAt(git, ref, `./${basename(file)}`);
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
