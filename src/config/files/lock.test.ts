import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { updateFile } from '../../lib/shared-file.js';
import { readLock, withRelay } from './lock-file.js';
import { RelayLock } from './lock.js';

const A = '0x371531b8ED16256DE8a3f97A99BA7206788143e0';
const B = '0x90F79bf6EB2c4f870365E785982E1f101E93b906';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portal-lock-'));
  file = join(folder, 'portal.lock');
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

const entries = async (): Promise<Record<string, string>> =>
  Object.fromEntries(
    [...readLock(await readFile(file, 'utf8'), file)].map(([url, { address }]) => [url, address]),
  );

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'fine',
    (error: unknown) => (error instanceof PortalError ? error.code : error),
  );

it('stops reading a link to an endless file', async (context) => {
  if (process.platform === 'win32') context.skip('Windows has no /dev/zero');
  await symlink('/dev/zero', file);
  await expect(new RelayLock({ file }).admit('https://relay.example.com')).rejects.toMatchObject({
    code: 'lock_invalid',
    message: expect.stringContaining('is larger than 1 MiB') as string,
  });
});

it('rejects a file that is nested too deeply, with the line', () => {
  expect(() => readLock(`version: 1\nrelays: ${'['.repeat(200_000)}`, 'portal.lock')).toThrow(
    expect.objectContaining({
      code: 'lock_invalid',
      line: 2,
      message: 'portal.lock, line 2: nested more than 64 levels deep',
    }),
  );
});

describe('the text of a lock', () => {
  it('is sorted, begins with an explanation, and keeps comments', () => {
    const first = withRelay(undefined, file, 'https://b.example', A);
    expect(first).toMatch(/^# .*portal\.yaml/);
    const commented = first.replace('  https://b', '  # asked Bo on the phone\n  https://b');
    expect(
      withRelay(withRelay(commented, file, 'https://c.example:8443', B), file, 'https://a.example', B),
    ).toBe(
      `${first.slice(0, first.indexOf('version'))}version: 1
relays:
  https://a.example: "${B}"
  # asked Bo on the phone
  https://b.example: "${A}"
  https://c.example:8443: "${B}"
`,
    );
  });

  it.each(['', '# nothing yet\n', 'version: 1\n', 'version: 1\nrelays:\n', 'version: 1\nrelays: {}\n'])(
    'without relays accepts a first one: %j',
    (text) => {
      expect(readLock(text, file).size).toBe(0);
      expect([...readLock(withRelay(text, file, 'https://a.example', A), file).keys()]).toEqual([
        'https://a.example',
      ]);
    },
  );

  it('accepts an address without quotes, and another spelling of the URL', () => {
    const text = `version: 1\nrelays:\n  HTTPS://a.example:443/: ${A}\n  https://a.example: ${A.toLowerCase()}\n`;
    expect([...readLock(text, file)]).toEqual([['https://a.example', { address: A, line: 3 }]]);
  });

  it.each([
    ['version: 2\nrelays: {}\n', 1, 'Update Portal.'],
    ['relays: {}\n', 1, ''],
    ['version: 1\nrelays: [a]\n', 2, ''],
    ['version: 1\nrelays: {}\nmore: 1\n', 3, 'update Portal'],
    ['version: 1\nrelays: {}\nrelays: {}\n', 3, ''],
    ['version: 1\nrelays:\n  here: x\n', 3, ''],
    ['version: 1\nrelays:\n  https://a.example: 0x12\n', 3, ''],
    [`version: 1\nrelays:\n  https://a.example: ${A}\n  https://a.example: ${B}\n`, 4, 'which one is right'],
    [`version: 1\nrelays:\n<<<<<<< HEAD\n  https://a.example: ${A}\n=======\n`, 3, 'both sides'],
    ['version: 1\nrelays: {\n', 3, ''],
    ['- version: 1\n', 1, ''],
  ])('that is invalid is reported with its line: %j', (text, line, hint) => {
    let thrown: unknown;
    try {
      readLock(text, file);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      code: 'lock_invalid',
      line,
      hint: expect.stringContaining(hint) as string,
    });
    // An invalid file is also not overwritten.
    expect(() => withRelay(text, file, 'https://b.example', A)).toThrow(PortalError);
  });
});

describe('the lock', () => {
  const url = 'https://relay.example';

  it('remembers a relay, and rejects another key with both keys and the line', async () => {
    const lock = new RelayLock({ file });
    await lock.trust(`${url}/`, A);
    await lock.trust(url, A.toLowerCase());
    expect(await entries()).toEqual({ [url]: A });
    const refused = lock.trust(url, B);
    await expect(refused).rejects.toMatchObject({ code: 'relay_key_changed' });
    await expect(refused).rejects.toThrow(new RegExp(`${B}.*portal\\.lock, line 6, has ${A}`));
    expect(await entries()).toEqual({ [url]: A });
  });

  it('reads the file again: notices a removed entry, and one that another process added', async () => {
    const lock = new RelayLock({ file });
    await lock.trust(url, A);
    await writeFile(file, withRelay(undefined, file, 'https://other.example', A));
    await lock.trust(url, B);
    expect(await entries()).toEqual({ [url]: B, 'https://other.example': A });
    await expect(lock.trust('https://other.example', B)).rejects.toThrow(A);
    await rm(file);
    await lock.trust(url, A);
    expect(await entries()).toEqual({ [url]: A });
  });

  it('is not written when nothing is added', async () => {
    const lock = new RelayLock({ file });
    await lock.trust(url, A);
    await utimes(file, 1, 1);
    await lock.trust(url, A);
    expect((await lstat(file)).mtimeMs).toBe(1_000);
  });

  it('that is frozen accepts known relays, and adds nothing', async () => {
    await new RelayLock({ file }).trust(url, A);
    const frozen = new RelayLock({ file, frozen: true });
    await frozen.admit(url);
    await frozen.trust(url, A);
    expect(await codeOf(frozen.trust(url, B))).toBe('relay_key_changed');
    expect(await codeOf(frozen.admit('https://new.example'))).toBe('relay_not_locked');
    expect(await codeOf(frozen.trust('https://new.example', A))).toBe('relay_not_locked');
    expect(await codeOf(frozen.check('https://new.example', A))).toBe('relay_not_locked');
    expect(await codeOf(frozen.check(url, B))).toBe('relay_key_changed');
    expect(await entries()).toEqual({ [url]: A });
  });

  it('loses no entry when many write at once', async () => {
    const urls = Array.from({ length: 24 }, (_, index) => `https://relay-${index}.example`);
    // A separate lock for each writer, as separate agents have.
    const told: PortalError[] = [];
    const onUnwritable = (error: PortalError): number => told.push(error);
    await Promise.all(urls.map((each) => new RelayLock({ file, onUnwritable }).trust(each, A)));
    expect(told).toEqual([]);
    expect(await entries()).toEqual(Object.fromEntries(urls.map((each) => [each, A])));
    expect(await readdir(folder)).toEqual(['portal.lock']);
  });

  it('notices that another process stored a different key first', async () => {
    const outcomes = await Promise.all(
      [A, B].map((each) => codeOf(new RelayLock({ file }).trust(url, each))),
    );
    expect(new Set(outcomes)).toEqual(new Set(['fine', 'relay_key_changed']));
  });

  it('that is invalid rejects every relay, and stays unchanged', async () => {
    await writeFile(file, '<<<<<<< HEAD\n');
    const lock = new RelayLock({ file });
    expect(await codeOf(lock.admit(url))).toBe('lock_invalid');
    expect(await codeOf(lock.trust(url, A))).toBe('lock_invalid');
    expect(await readFile(file, 'utf8')).toBe('<<<<<<< HEAD\n');
    await rm(file);
    await mkdir(file);
    expect(await codeOf(lock.admit(url))).toBe('lock_invalid');
  });

  it('reports once that it cannot be written, and again after a write; keys are still checked', async () => {
    await writeFile(file, 'version: 1\n');
    await chmod(file, 0o444);
    const told: PortalError[] = [];
    const lock = new RelayLock({ file, onUnwritable: (error) => told.push(error) });
    await lock.trust(url, A);
    await lock.trust('https://other.example', A);
    expect(told).toMatchObject([{ code: 'state_unwritable' }]);
    await expect(lock.trust(url, B)).rejects.toThrow('this agent stored');
    expect(await readFile(file, 'utf8')).toBe('version: 1\n');
    await chmod(file, 0o644);
    await lock.trust(url, A);
    expect(await entries()).toEqual({ [url]: A });
    await chmod(file, 0o444);
    await lock.trust('https://third.example', A);
    expect(told).toHaveLength(2);
  });

  it('stays a symbolic link, to a missing file or to a file with another mode', async () => {
    await mkdir(join(folder, 'shared'));
    await symlink(join('shared', 'relays.lock'), file);
    await new RelayLock({ file }).trust(url, A);
    await chmod(join(folder, 'shared', 'relays.lock'), 0o640);
    await new RelayLock({ file }).trust('https://other.example', A);
    expect((await lstat(file)).isSymbolicLink()).toBe(true);
    expect((await lstat(join(folder, 'shared', 'relays.lock'))).mode & 0o777).toBe(0o640);
    expect(Object.keys(await entries())).toEqual(['https://other.example', url]);
  });
});

describe('a file with several writers', () => {
  it('takes the lock over from a writer that exited, and waits for one that is running', async () => {
    await writeFile(`${file}.new`, 'half');
    expect(await codeOf(updateFile(file, () => 'whole', { waitMs: 50 }))).toBe('state_unwritable');
    await utimes(`${file}.new`, 1, 1);
    await updateFile(file, () => 'whole');
    expect(await readFile(file, 'utf8')).toBe('whole');
    expect(await readdir(folder)).toEqual(['portal.lock']);
  });

  it('waits while writers take turns, however long they take together', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const nextWriter = async (): Promise<void> => {
      await writeFile(`${file}.next`, 'half');
      await rename(`${file}.next`, `${file}.new`);
    };
    await nextWriter();
    const seen = { end: false };
    const update = updateFile(file, () => 'whole', { waitMs: 3_000 }).finally(() => (seen.end = true));
    update.catch(() => undefined);
    const looked = async (): Promise<void> => {
      while (!seen.end && vi.getTimerCount() === 0) await immediate();
    };
    for (let turn = 0; turn < 5; turn++) {
      await looked();
      await nextWriter();
      vi.advanceTimersByTime(2_000);
    }
    await looked();
    await rm(`${file}.new`);
    vi.advanceTimersByTime(2_000);
    await update;
    expect(await readFile(file, 'utf8')).toBe('whole');
  });

  it('stays unchanged when the change throws', async () => {
    await writeFile(file, 'before');
    const failing = updateFile(file, () => {
      throw new PortalError('aborted', 'no');
    });
    expect(await codeOf(failing)).toBe('aborted');
    expect(await readFile(file, 'utf8')).toBe('before');
    expect(await readdir(folder)).toEqual(['portal.lock']);
  });
});
