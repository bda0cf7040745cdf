import { mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/folder.js';
import { confine, confinedPath, readConfined, sha256Of, unconfine } from './confined.js';

let top: string;
let project: string;
let file: string;

beforeEach(async () => {
  top = await temporaryFolder();
  project = join(top, 'project');
  file = join(project, 'ca.pem');
  await mkdir(project);
  await writeFile(file, 'inside');
  await writeFile(join(top, 'far.pem'), 'outside');
});
afterEach(unconfine);

const within = (...places: string[]) => confine(new Map([[file, { within: places }]]));

async function swapFor(target: string): Promise<void> {
  await unlink(file);
  await symlink(target, file);
}

it('an unconfined path may lead anywhere', async () => {
  await swapFor(join(top, 'far.pem'));
  expect(await readConfined(file)).toBe('outside');
});

it('a link swapped for one out of the project is rejected, and the error names its target', async () => {
  within(project);
  expect(await readConfined(file)).toBe('inside');
  await swapFor(join(top, 'far.pem'));
  await expect(readConfined(file)).rejects.toMatchObject({
    code: 'config_not_allowed',
    message: `${file} leads to ${join(top, 'far.pem')} now, which is not allowed yet (portal allow)`,
  });
  await swapFor('../far.pem');
  await expect(confinedPath(file)).rejects.toMatchObject({ code: 'config_not_allowed' });
  await swapFor(join(top, 'nothing-there'));
  await expect(confinedPath(file)).rejects.toMatchObject({ code: 'config_not_allowed' });
});

it('a folder on the path counts like the file', async () => {
  await mkdir(join(project, 'run'));
  const socket = join(project, 'run', 'app.sock');
  confine(new Map([[socket, { within: [project] }]]));
  expect(await confinedPath(socket)).toBe(socket);
  await mkdir(join(top, 'projectile'));
  await symlink(join(top, 'projectile'), join(project, 'other'));
  const behind = join(project, 'other', 'app.sock');
  confine(new Map([[behind, { within: [project] }]]));
  await expect(confinedPath(behind)).rejects.toMatchObject({ code: 'config_not_allowed' });
});

it('an allowed path outside stays allowed, and its neighbours do not', async () => {
  within(project, join(top, 'far.pem'));
  await swapFor(join(top, 'far.pem'));
  expect(await readConfined(file)).toBe('outside');
  await writeFile(join(top, 'far.pem.2'), '');
  await swapFor(join(top, 'far.pem.2'));
  await expect(readConfined(file)).rejects.toMatchObject({ code: 'config_not_allowed' });
});

it('if the content counts, new content is rejected', async () => {
  confine(new Map([[file, { within: [project], sha256: sha256Of(Buffer.from('inside')) }]]));
  expect(await readConfined(file)).toBe('inside');
  await writeFile(file, 'other');
  await expect(readConfined(file)).rejects.toMatchObject({
    code: 'config_not_allowed',
    message: `the content of ${file} changed, and is not allowed yet (portal allow)`,
  });
});
