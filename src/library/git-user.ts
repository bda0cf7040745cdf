const TIMEOUT_MS = 2_000;

/** git's `user.name` in a folder; undefined without git, or if it is not set. */
export function gitUser(cwd: string, env: NodeJS.ProcessEnv): string | undefined {
  // Not imported: few configurations need it, and loading it takes time in all commands.
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const { status, stdout } = spawnSync('git', ['config', '--get', 'user.name'], {
    cwd,
    env,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return status === 0 ? stdout.trim() || undefined : undefined;
}
