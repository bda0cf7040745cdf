import fs, { readdir } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { temporaryFolder } from '../../test/support/folder.js';
import { createFile, PRIVATE_MODE } from './private-file.js';

/** Makes hard links fail with `code`. */
function failLinks(code: string): void {
  const link = vi.spyOn(fs, 'link').mockRejectedValue(Object.assign(new Error(code), { code }));
  syncBuiltinESMExports();
  onTestFinished(() => {
    link.mockRestore();
    syncBuiltinESMExports();
  });
}

it.each(['EPERM', 'ENOTSUP'])('says that the file system has no hard links: %s', async (code) => {
  const folder = await temporaryFolder();
  const file = join(folder, 'identity.json');
  failLinks(code);
  await expect(createFile(file, 'a key', PRIVATE_MODE)).rejects.toMatchObject({
    code: 'state_unwritable',
    message: `${file} cannot be written: its file system has no hard links (${code})`,
    hint: expect.stringMatching(/exFAT.*Set PORTAL_HOME/) as string,
  });
  expect(await readdir(folder)).toEqual([]);
});

it('creates a file once', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'identity.json');
  expect(await createFile(file, 'first', PRIVATE_MODE)).toBe(true);
  expect(await createFile(file, 'second', PRIVATE_MODE)).toBe(false);
  expect(await fs.readFile(file, 'utf8')).toBe('first');
  expect(await readdir(folder)).toEqual(['identity.json']);
});
