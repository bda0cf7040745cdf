import { mkdir, mkdtemp, realpath, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../../lib/wait.js';
import { followConfig } from './follow.js';
import { loadConfig, type LoadOptions, type LoadResult } from '../load.js';

let dir: string;
let file: string;
let closers: (() => Promise<void>)[];

beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'portal-follow-')));
  file = join(dir, 'portal.yaml');
  closers = [];
});
afterEach(async () => {
  await Promise.all(closers.map((close) => close()));
  await rm(dir, { recursive: true, force: true });
});

function config(port: number | string): string {
  return `version: 1\nservices:\n  web: ${port}\n`;
}

const withEnvFile = (name: string): string => `envFile: ${name}\n${config('${P}')}`;

/** A result in one word. */
function summary(result: LoadResult): string {
  if (!result.ok) return result.problems.map(({ code }) => code).join(' ');
  return result.desired.services.map(({ target }) => (target.kind === 'tcp' ? target.port : '')).join(' ');
}

async function follow(
  load: Partial<LoadOptions> = {},
  initial?: LoadResult,
  more: Partial<Parameters<typeof followConfig>[0]> = {},
) {
  const told: string[] = [];
  const errors: unknown[] = [];
  let next = deferred<void>();
  const following = await followConfig({
    load: { cwd: dir, env: {}, ...load },
    signal: new AbortController().signal,
    ...(initial ? { initial } : {}),
    ...more,
    onLoaded: (result) => {
      told.push(summary(result));
      next.resolve();
    },
    onError: (error) => errors.push(error),
  });
  closers.push(() => following.close());
  return {
    told,
    errors,
    async until(last: string): Promise<void> {
      while (told.at(-1) !== last) {
        next = deferred<void>();
        await next.promise;
      }
    },
  };
}

describe('followConfig', () => {
  it('waits for the rest of a file whose beginning is valid without services', async () => {
    const both = (web: number): string => `${config(web)}  api: 8\n`;
    await writeFile(file, both(1));
    let seen = deferred<void>();
    const admit = async (result: LoadResult): Promise<LoadResult> => {
      seen.resolve();
      return result;
    };
    const followed = await follow({}, undefined, { admit, halfSaveMs: 60_000 });
    seen = deferred();
    await writeFile(file, config(2));
    await seen.promise;
    await writeFile(file, both(3));
    await followed.until('3 8');
    expect(followed.told).toEqual(['1 8', '3 8']);
  });

  it('removes a service once the file stays without it', async () => {
    await writeFile(file, `${config(1)}  api: 8\n`);
    const followed = await follow();
    await writeFile(file, config(1));
    await followed.until('1');
    expect(followed.told).toEqual(['1 8', '1']);
  });

  it('reports the first load, and each different one', async () => {
    await writeFile(file, config(1));
    const followed = await follow();
    expect(followed.told).toEqual(['1']);
    await writeFile(file, `# a comment changes nothing\n${config(1)}`);
    await writeFile(file, config(2));
    await followed.until('2');
    await writeFile(join(dir, '.env'), 'P=3');
    await writeFile(file, config('${P}'));
    await followed.until('3');
    await writeFile(join(dir, '.env'), 'P=4');
    await followed.until('4');
    await writeFile(join(dir, 'portal.local.yaml'), 'services: { web: 5 }');
    await followed.until('5');
    expect(followed.errors).toEqual([]);
  });

  it('does not repeat the configuration that the caller loaded', async () => {
    await writeFile(file, config(1));
    const load = { cwd: dir, env: {} };
    const followed = await follow({}, await loadConfig(load));
    await writeFile(file, config(2));
    await followed.until('2');
    expect(followed.told).toEqual(['2']);
  });

  it('notices a save between the load and the first watch', async () => {
    await writeFile(file, config(1));
    const initial = await loadConfig({ cwd: dir, env: {} });
    await writeFile(file, config(2));
    const followed = await follow({}, initial);
    await followed.until('2');
    expect(followed.told).toEqual(['2']);
  });

  it('reports a file that stays invalid, and its repair', async () => {
    await writeFile(file, config(1));
    const followed = await follow();
    await writeFile(file, config(70000));
    await followed.until('config_invalid');
    await writeFile(file, config(1));
    await followed.until('1');
    expect(followed.told).toEqual(['1', 'config_invalid', '1']);
  });

  it('does not report the first half of a save in two steps', async () => {
    await writeFile(file, config(1));
    const followed = await follow();
    await truncate(file);
    await writeFile(file, config(2).slice(0, 15));
    await writeFile(file, config(2));
    await followed.until('2');
    expect(followed.told).toEqual(['1', '2']);
  });

  it('keeps the file that it found when another appears in a parent folder', async () => {
    const app = join(dir, 'app');
    await mkdir(app);
    await writeFile(join(app, 'portal.yaml'), config(1));
    await writeFile(file, config(9));
    const followed = await follow({ cwd: app });
    await rename(join(app, 'portal.yaml'), join(app, 'away'));
    await followed.until('config_not_found');
    await rename(join(app, 'away'), join(app, 'portal.yaml'));
    await followed.until('1');
    expect(followed.told).toEqual(['1', 'config_not_found', '1']);
  });

  it('reads standard input once, and watches its .env', async () => {
    await writeFile(join(dir, '.env'), 'P=1');
    let reads = 0;
    const stdin = async (): Promise<string> => {
      reads += 1;
      return config('${P}');
    };
    const followed = await follow({ file: '-', stdin });
    await writeFile(join(dir, '.env'), 'P=2');
    await followed.until('2');
    expect(reads).toBe(1);
  });

  it('follows the files of envFile, also files that a save names later', async () => {
    await writeFile(join(dir, 'a.env'), 'P=1');
    await writeFile(file, withEnvFile('a.env'));
    const followed = await follow();
    await writeFile(join(dir, 'a.env'), 'P=2');
    await followed.until('2');
    await mkdir(join(dir, 'conf'));
    await writeFile(join(dir, 'conf/b.env'), 'P=3');
    await writeFile(file, withEnvFile('conf/b.env'));
    await followed.until('3');
    await writeFile(join(dir, 'conf/b.env'), 'P=4');
    await followed.until('4');
    await rm(join(dir, 'conf'), { recursive: true });
    await followed.until('config_invalid');
    await mkdir(join(dir, 'conf'));
    await writeFile(join(dir, 'conf/b.env'), 'P=5');
    await followed.until('5');
    expect(followed.errors).toEqual([]);
  });

  it('follows included files: edited, new, renamed and removed ones', async () => {
    const part = (name: string, text: string): Promise<void> => writeFile(join(dir, 'parts', name), text);
    await writeFile(file, 'version: 1\ninclude: ./parts/*.yaml\nservices: { web: 1 }\n');
    const followed = await follow();
    expect(followed.told).toEqual(['1']);
    await mkdir(join(dir, 'parts'));
    await part('b.yaml', 'services: { b: 2 }');
    await followed.until('1 2');
    await part('b.yaml', 'services: { b: 3 }');
    await followed.until('1 3');
    await part('a.yaml', 'services: { a: 4 }');
    await followed.until('1 4 3');
    await rename(join(dir, 'parts/a.yaml'), join(dir, 'parts/c.yaml'));
    await followed.until('1 3 4');
    await part('c.yaml', 'services: { web: 5 }');
    await followed.until('config_invalid');
    await rm(join(dir, 'parts'), { recursive: true });
    await followed.until('1');
    expect(followed.errors).toEqual([]);
  });
});
