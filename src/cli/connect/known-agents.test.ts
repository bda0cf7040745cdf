import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { knownAgent, rememberAgent } from './known-agents.js';

const [A, B] = ['0x371531b8ED16256DE8a3f97A99BA7206788143e0', '0x1111111111111111111111111111111111111111'];

async function fileIn(...folders: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-known-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, ...folders, 'known-agents');
}

it('remembers one agent for each hostname, and keeps the rest of the file', async () => {
  const file = await fileIn('new', 'folder');
  expect(await knownAgent(file, 'db.example.com')).toBeUndefined();
  await rememberAgent(file, 'db.example.com', A);
  await rememberAgent(file, 'web.example.com', A);
  await rememberAgent(file, 'db.example.com', B);
  expect(await knownAgent(file, 'db.example.com')).toBe(B);
  expect(await knownAgent(file, 'web.example.com')).toBe(A);
  expect(await knownAgent(file, 'example.com')).toBeUndefined();
  expect(await readFile(file, 'utf8')).toBe(`web.example.com ${A}\ndb.example.com ${B}\n`);
});

it('reads a file that a person has edited', async () => {
  const file = await fileIn();
  await writeFile(file, `# friends\ndb.example.com 0x1\n  db.example.com   ${A.toLowerCase()}  # of Ada\n`);
  expect(await knownAgent(file, 'db.example.com')).toBe(A);
  await rememberAgent(file, 'web.example.com', B);
  expect(await readFile(file, 'utf8')).toContain('# friends\n');
});

it('says which file cannot be read', async () => {
  await expect(knownAgent(tmpdir(), 'db.example.com')).rejects.toMatchObject({
    code: 'config_unreadable',
    message: expect.stringContaining(`cannot read ${tmpdir()}`) as string,
  });
});
