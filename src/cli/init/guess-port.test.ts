import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { guessPort } from './guess-port.js';

async function guess(files: Readonly<Record<string, string>>): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-init-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return (await guessPort(folder)).port;
}

const packageJson = (content: object): Readonly<Record<string, string>> => ({
  'package.json': JSON.stringify(content),
});

test.each<[string, Readonly<Record<string, string>>, number]>([
  ['no hint in the folder', {}, 3000],
  [
    'a port in the dev script',
    packageJson({ scripts: { dev: 'vite --port 4000' }, devDependencies: { vite: '7' } }),
    4000,
  ],
  ['PORT= before the command', packageJson({ scripts: { start: 'PORT=8081 node .' } }), 8081],
  ['-p', packageJson({ scripts: { dev: 'next dev -p 3100' } }), 3100],
  ['a framework', packageJson({ devDependencies: { vite: '7' } }), 5173],
  [
    'the more specific of two',
    packageJson({ dependencies: { astro: '5' }, devDependencies: { vite: '7' } }),
    4321,
  ],
  ['an invalid port', packageJson({ scripts: { dev: 'x --port 99999' } }), 3000],
  ['scripts of another shape', packageJson({ scripts: { dev: ['x'] } }), 3000],
  ['a package.json that is broken', { 'package.json': '{' }, 3000],
  ['Django', { 'manage.py': '' }, 8000],
])('%s', async (_, files, port) => {
  expect(await guess(files)).toBe(port);
});
