import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, onTestFinished } from 'vitest';
import { loadConfig, type LoadOptions, type LoadResult } from '../../src/config/load.js';

/** A folder of a project for each test, in a folder of its own, and what loading its portal.yaml returns. */
export function useProject(name: string) {
  let top = '';
  let dir = '';
  beforeEach(async () => {
    top = await realpath(await mkdtemp(join(tmpdir(), `portal-${name}-`)));
    onTestFinished(() => rm(top, { recursive: true, force: true }));
    dir = join(top, 'project');
    await mkdir(dir);
  });
  const load = (options: Partial<LoadOptions> = {}): Promise<LoadResult> =>
    loadConfig({ cwd: dir, env: {}, userName: 'zoe', ...options });
  return {
    /** The folder around the project. */
    get top() {
      return top;
    },
    get dir() {
      return dir;
    },
    /** Writes files of the project. */
    files: async (texts: Readonly<Record<string, string>>): Promise<void> => {
      for (const [file, text] of Object.entries(texts)) {
        await mkdir(dirname(join(dir, file)), { recursive: true });
        await writeFile(join(dir, file), text);
      }
    },
    load,
    loaded: async (options: Partial<LoadOptions> = {}) => {
      const result = await load(options);
      if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'));
      return result;
    },
    problems: async (options: Partial<LoadOptions> = {}) => {
      const result = await load(options);
      if (result.ok) throw new Error('expected problems');
      return result.problems;
    },
  };
}
