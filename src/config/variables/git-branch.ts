import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Variables with the branch that CI builds: its checkout has none. */
const CI_VARIABLES = [
  'GITHUB_HEAD_REF',
  'GITHUB_REF_NAME',
  'CI_COMMIT_REF_NAME',
  'BUILDKITE_BRANCH',
  'CIRCLE_BRANCH',
];

/**
 * The branch of git that `folder` is on (`HEAD` of gitrepository-layout(5)); on a detached commit the branch that CI names, else the
 * short commit. Undefined outside a repository.
 */
export function branchOf(folder: string, env: NodeJS.ProcessEnv): string | undefined {
  const head = headOf(folder);
  if (head === undefined) return undefined;
  const branch = /^ref: refs\/heads\/(.+)$/.exec(head)?.[1];
  if (branch !== undefined) return branch;
  for (const name of CI_VARIABLES) if (env[name]) return env[name];
  return /^[0-9a-f]{40,64}$/.test(head) ? head.slice(0, 7) : undefined;
}

function headOf(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    try {
      return readFileSync(join(gitFolder(join(at, '.git')), 'HEAD'), 'utf8').trim();
    } catch {
      if (dirname(at) === at) return undefined;
    }
  }
}

/** A worktree and a submodule have a file that names the folder. */
function gitFolder(path: string): string {
  if (statSync(path).isDirectory()) return path;
  const named = /^gitdir: (.+)$/m.exec(readFileSync(path, 'utf8'))?.[1];
  return named === undefined ? path : resolve(dirname(path), named);
}
