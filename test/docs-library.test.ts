/** docs/guides/library.md and docs/reference/events.md match the types of the package. */
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { temporaryFolder } from './support/folder.js';

const root = fileURLToPath(new URL('..', import.meta.url));

const OPTIONS = {
  strict: true,
  // A guide's functions have no annotations.
  noImplicitAny: false,
  noUncheckedIndexedAccess: true,
  allowJs: true,
  checkJs: false,
  noEmit: true,
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable', 'dom'],
  module: 'nodenext',
  types: ['node'],
  skipLibCheck: true,
};

/** Runs the compiler. Resolves with its errors. */
async function errorsOf(folder: string): Promise<string> {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  return promisify(execFile)(process.execPath, [tsc, '-p', folder], { cwd: folder }).then(
    () => '',
    ({ stdout }: { stdout: string }) => stdout,
  );
}

/** A project with the package and the modules that the examples import. */
async function project(): Promise<string> {
  const folder = await temporaryFolder();
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@playwright'), { recursive: true });
  for (const name of ['vitest', '@types', '@playwright/test'])
    await symlink(join(root, 'node_modules', name), join(modules, name));
  for (const path of ['package.json', 'dist/portal/library.d.ts', 'dist/portal/library.js'])
    await cp(join(root, path), join(modules, 'portal-up', path), { recursive: true });
  await cp(join(root, 'examples/webhook-test/receiver.mjs'), join(folder, 'receiver.mjs'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: OPTIONS, include: ['*.ts', '*.mjs'] }),
  );
  return folder;
}

it('has the types of the package in each block', async () => {
  const guide = await readFile(join(root, 'docs/guides/library.md'), 'utf8');
  const blocks = [...guide.matchAll(/^```[jt]s\n([\s\S]*?)^```/gm)].map(([, code]) => code!);
  expect(blocks.length).toBeGreaterThan(5);
  const folder = await project();
  await Promise.all(
    blocks.map((code, index) => writeFile(join(folder, `block-${index}.ts`), `${code}export {};\n`)),
  );
  expect(await errorsOf(folder)).toBe('');
  // The compiler read the package's types.
  await writeFile(
    join(folder, 'wrong.ts'),
    `import { up } from 'portal-up';\nawait up({ services: { web: { tagret: 1 } } });\n`,
  );
  expect(await errorsOf(folder)).toContain('tagret');
  expect(await readdir(folder)).toContain('wrong.ts');
});

it('lists each event that the types have', async () => {
  const reference = await readFile(join(root, 'docs/reference/events.md'), 'utf8');
  const table = reference.slice(
    reference.indexOf('\n| event'),
    reference.indexOf('\n\n', reference.indexOf('\n| event')),
  );
  const listed = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name!);
  const types = await readFile(join(root, 'dist/portal/library.d.ts'), 'utf8');
  const typed = [...types.matchAll(/^ .*event: '(\w+)'/gm)].map(([, name]) => name!);
  expect(typed).toContain('ready');
  // Those of the command line itself.
  expect(listed.filter((name) => name !== 'error' && name !== 'dropped').toSorted()).toEqual(
    typed.toSorted(),
  );
});
