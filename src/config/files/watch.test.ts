import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../../lib/wait.js';
import { watchInputs } from './watch.js';

let dir: string;
let stop: AbortController;
let closers: (() => Promise<void>)[];

beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'portal-watch-')));
  stop = new AbortController();
  closers = [];
});

afterEach(async () => {
  stop.abort();
  await Promise.all(closers.map((close) => close()));
  await rm(dir, { recursive: true, force: true });
});

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '(none)';
}

/** Watches `inputs`, and records their contents at each call. */
const observe = (...inputs: string[]): ReturnType<typeof observeWith> => observeWith({}, inputs);

async function observeWith(options: { settleMs?: number }, inputs: string[]) {
  const contents: string[] = [];
  const waiting = new Set<{ test: (contents: readonly string[]) => boolean; done: () => void }>();
  const check = (): void => {
    for (const wait of waiting) if (wait.test(contents)) wait.done();
  };
  const watching = await watchInputs({
    ...options,
    inputs,
    signal: stop.signal,
    onChange: () => {
      contents.push(inputs.map(textOf).join('|'));
      check();
    },
  });
  closers.push(() => watching.close());
  return {
    contents,
    /** Resolves when the latest call saw this. */
    async seen(text: string): Promise<void> {
      await new Promise<void>((done) => {
        waiting.add({ test: (all) => all.at(-1) === text, done });
        check();
      });
    },
  };
}

describe('watchInputs notices', () => {
  let file: string;
  beforeEach(async () => {
    file = join(dir, 'portal.yaml');
    await writeFile(file, 'one');
  });

  it('a file written in place', async () => {
    const watched = await observe(file);
    await writeFile(file, 'two');
    await watched.seen('two');
    await writeFile(file, 'three');
    await watched.seen('three');
    expect(watched.contents.at(-1)).toBe('three');
  });

  it('a temporary file renamed over it, again and again', async () => {
    const watched = await observe(file);
    for (const text of ['two', 'three', 'four']) {
      await writeFile(join(dir, '.portal.yaml.tmp'), text);
      await rename(join(dir, '.portal.yaml.tmp'), file);
      await watched.seen(text);
    }
    expect(watched.contents).toEqual(['two', 'three', 'four']);
  });

  it('a backup by renaming and a new file, as vim does', async () => {
    const watched = await observe(file);
    for (const text of ['two', 'three']) {
      await rename(file, `${file}~`);
      await writeFile(file, text);
      await watched.seen(text);
    }
    expect(watched.contents).not.toContain('(none)');
  });

  it('a file deleted and created again', async () => {
    const watched = await observe(file);
    for (const text of ['two', 'three']) {
      await rm(file);
      await writeFile(file, text);
      await watched.seen(text);
    }
    expect(watched.contents).not.toContain('(none)');
  });

  it('a file that stays deleted, and its later return', async () => {
    const watched = await observe(file);
    await rm(file);
    await watched.seen('(none)');
    await writeFile(file, 'back');
    await watched.seen('back');
    expect(watched.contents.at(-1)).toBe('back');
  });

  it('a symbolic link replaced by another', async () => {
    const link = join(dir, 'link.yaml');
    await symlink('portal.yaml', link);
    const watched = await observe(link);
    for (const text of ['two', 'three']) {
      await writeFile(join(dir, `${text}.yaml`), text);
      await symlink(`${text}.yaml`, join(dir, 'link.tmp'));
      await rename(join(dir, 'link.tmp'), link);
      await watched.seen(text);
    }
    await writeFile(join(dir, 'three.yaml'), 'four');
    await watched.seen('four');
    expect(watched.contents.at(-1)).toBe('four');
  });

  it('a link into another directory, whose file is edited', async () => {
    const elsewhere = join(dir, 'elsewhere');
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'real.yaml'), 'one');
    const link = join(dir, 'link.yaml');
    await symlink(join('elsewhere', 'real.yaml'), link);
    const watched = await observe(link);
    await writeFile(join(elsewhere, 'real.yaml'), 'two');
    await watched.seen('two');
    expect(watched.contents.at(-1)).toBe('two');
  });

  it('a Kubernetes volume that is updated twice', async () => {
    const volume = join(dir, 'volume');
    await mkdir(join(volume, '..1'), { recursive: true });
    await writeFile(join(volume, '..1', 'portal.yaml'), '1');
    await symlink('..1', join(volume, '..data'));
    await symlink(join('..data', 'portal.yaml'), join(volume, 'portal.yaml'));
    const watched = await observe(join(volume, 'portal.yaml'));
    for (const version of ['2', '3']) {
      await mkdir(join(volume, `..${version}`));
      await writeFile(join(volume, `..${version}`, 'portal.yaml'), version);
      await symlink(`..${version}`, join(volume, '..data_tmp'));
      await rename(join(volume, '..data_tmp'), join(volume, '..data'));
      await rm(join(volume, `..${Number(version) - 1}`), { recursive: true });
      await watched.seen(version);
    }
    expect(watched.contents).toEqual(['2', '3']);
  });

  it('a directory replaced by another', async () => {
    const app = join(dir, 'app');
    await mkdir(app);
    await writeFile(join(app, 'portal.yaml'), 'one');
    const watched = await observe(join(app, 'portal.yaml'));
    await rm(app, { recursive: true });
    await watched.seen('(none)');
    await mkdir(app);
    await writeFile(join(app, 'portal.yaml'), 'two');
    await watched.seen('two');
    await writeFile(join(app, 'portal.yaml'), 'three');
    await watched.seen('three');
    expect(watched.contents.at(-1)).toBe('three');
  });

  it('the last of many saves at once', async () => {
    const watched = await observe(file);
    for (let index = 0; index < 20; index += 1) await writeFile(file, `save ${index}`);
    await watched.seen('save 19');
    expect(watched.contents.at(-1)).toBe('save 19');
  });

  it('a .env and an overlay that appear later', async () => {
    const watched = await observe(file, join(dir, 'portal.local.yaml'), join(dir, '.env'));
    await writeFile(join(dir, '.env'), 'A=1');
    await watched.seen('one|(none)|A=1');
    await writeFile(join(dir, 'portal.local.yaml'), 'x');
    await watched.seen('one|x|A=1');
    expect(watched.contents.at(-1)).toBe('one|x|A=1');
  });

  it('a change made while it starts', async () => {
    const watching = observe(file);
    await writeFile(file, 'two');
    const watched = await watching;
    await writeFile(file, 'three');
    await watched.seen('three');
    expect(watched.contents.at(-1)).toBe('three');
  });
});

describe('watchInputs does not report', () => {
  it('a touch, other files, or a file that is empty for a moment', async () => {
    const file = join(dir, 'portal.yaml');
    await writeFile(file, 'one');
    // Time for a machine that pauses between truncating the file and writing it.
    const watched = await observeWith({ settleMs: 5_000 }, [file]);
    await utimes(file, new Date(), new Date());
    await writeFile(join(dir, 'other.txt'), 'x');
    await writeFile(file, 'one');
    await truncate(file);
    await writeFile(file, 'one');
    await truncate(file);
    await writeFile(file, 'two');
    await watched.seen('two');
    expect(watched.contents).toEqual(['two']);
  });

  it('anything once it is closed or its signal aborts', async () => {
    const file = join(dir, 'portal.yaml');
    await writeFile(file, 'one');
    const watched = await observe(file);
    stop.abort();
    await Promise.all(closers.map((close) => close()));
    await writeFile(file, 'two');
    const other = new AbortController();
    const second = deferred<void>();
    const watching = await watchInputs({
      inputs: [file],
      signal: other.signal,
      onChange: () => second.resolve(),
    });
    await writeFile(file, 'three');
    await second.promise;
    await watching.close();
    expect(watched.contents).toEqual([]);
  });
});
