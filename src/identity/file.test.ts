import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { needsModes } from '../../test/support/platform.js';
import { exportIdentity, loadIdentity } from './file.js';
import { generateIdentity, privateKeyOf } from './keys.js';
import { shellQuote } from '../lib/shell-quote.js';

let home: string;
let file: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'portal-identity-'));
  file = join(home, 'deep', 'er', 'identity.json');
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function put(content: string, mode = 0o600): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  await chmod(file, mode);
}

const failure = (options = { create: true }) =>
  loadIdentity(file, options).then(
    () => 'no failure',
    (error: unknown) => error,
  );

describe('first use', () => {
  it('creates an identity, and reuses it', async () => {
    const identity = await loadIdentity(file, { create: true });
    const again = await loadIdentity(file, { create: false });
    expect(again.address).toBe(identity.address);
    expect(JSON.parse(await readFile(file, 'utf8'))).toStrictEqual({
      version: 1,
      address: identity.address,
      privateKey: privateKeyOf(identity),
    });
  });

  it('creates it for its owner only: file 0600 in folders 0700', async (context) => {
    needsModes(context);
    await loadIdentity(file, { create: true });
    const modes = await Promise.all([file, dirname(file), dirname(dirname(file))].map((path) => stat(path)));
    expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toStrictEqual(['600', '700', '700']);
  });

  it('by many processes at once gives all the same identity, and leaves no temporary file', async () => {
    const identities = await Promise.all(
      Array.from({ length: 32 }, () => loadIdentity(file, { create: true })),
    );
    expect(new Set(identities.map(({ address }) => address)).size).toBe(1);
    expect(await readdir(dirname(file))).toStrictEqual(['identity.json']);
  });

  it('creates nothing unless requested', async () => {
    expect(await failure({ create: false })).toMatchObject({ code: 'identity_invalid' });
    expect(await readdir(home)).toStrictEqual([]);
  });

  it('reports a folder that cannot be created', async () => {
    await writeFile(join(home, 'deep'), 'a file where a folder should be');
    expect(await failure()).toMatchObject({
      code: 'state_unwritable',
      message: expect.stringContaining(`${file} cannot be written`),
    });
  });
});

describe('a file open to others', () => {
  beforeEach(needsModes);

  it.each([0o644, 0o640, 0o604, 0o620, 0o660])(
    'mode %o: rejected, with the command that fixes it',
    async (mode) => {
      await put(exportIdentity(generateIdentity()), mode);
      expect(await failure()).toMatchObject({
        code: 'identity_unsafe',
        message: `${file} is open to other users (mode ${mode.toString(8)})`,
        hint: expect.stringContaining(`Run: chmod 600 ${shellQuote(file)}`) as string,
      });
    },
  );

  it('mode 0400 is accepted', async () => {
    const identity = generateIdentity();
    await put(exportIdentity(identity), 0o400);
    expect((await loadIdentity(file, { create: false })).address).toBe(identity.address);
  });

  it.each([
    ['/home/me/id.json', '/home/me/id.json'],
    ['/a b', "'/a b'"],
    ["/it's", "'/it'\\''s'"],
  ])('the path %s is quoted for a shell', (path, quoted) => {
    expect(shellQuote(path)).toBe(quoted);
  });
});

describe('a file that is not an identity', () => {
  const identity = generateIdentity();
  const secret = privateKeyOf(identity);
  const of = (change: object) =>
    JSON.stringify({ version: 1, address: identity.address, privateKey: secret, ...change });

  it.each([
    ['nothing', ''],
    ['a broken line', `{"version":1,"privateKey":"${secret}",`],
    ['null', 'null'],
    ['another version', of({ version: 2 })],
    ['no key', of({ privateKey: undefined })],
    ['no address', of({ address: undefined })],
    ['a short key', of({ privateKey: secret.slice(0, -2) })],
    ['the key of another address', of({ address: generateIdentity().address })],
  ])('%s: rejected, left unchanged, and the key is not shown', async (_what, content) => {
    await put(content);
    const error = await failure();
    expect(error).toMatchObject({ code: 'identity_invalid', message: expect.stringContaining(file) });
    expect(inspect(error, { depth: Infinity })).not.toContain(secret.slice(2, 12));
    expect(await readFile(file, 'utf8')).toBe(content);
  });

  it('a folder: rejected', async () => {
    await mkdir(file, { recursive: true, mode: 0o700 });
    expect(await failure()).toMatchObject({ code: 'identity_invalid' });
  });
});
