import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, type TestContext } from 'vitest';
import { jsonLines, Person } from './cli-support.js';

const run = promisify(execFile);

/** A person whose home is a full disk of their own, and a prefix that runs a command with it. */
async function withFullDisk(context: TestContext): Promise<{ person: Person; within: string[] }> {
  if (process.platform !== 'linux') context.skip('mount namespaces need Linux');
  const person = await Person.create();
  await mkdir(person.home, { recursive: true });
  await writeFile(join(person.folder, 'portal.yaml'), 'version: 1\nservices: { web: 3000 }\n');
  const unshare = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--mount'];
  const fill =
    'mount -t tmpfs -o size=64k none "$1" && { cat /dev/zero > "$1/fill" 2>/dev/null; shift; exec "$@"; }';
  const within = [...unshare, 'sh', '-c', fill, 'sh', person.home];
  try {
    await run(within[0]!, [...within.slice(1), 'true']);
  } catch (error) {
    context.skip(`mount namespaces do not work here (${String(error).split('\n', 1)[0]})`);
  }
  return { person, within };
}

it('doctor says that the disk of Portal’s folders is full', async (context) => {
  const { person, within } = await withFullDisk(context);
  const { code, stdout } = await person.run(['doctor', '--json'], { within });
  expect(code).toBe(1);
  const found = jsonLines(stdout).filter(({ check }) => check === 'folders.writable');
  expect(found.length).toBeGreaterThan(0);
  for (const each of found)
    expect(each).toMatchObject({
      level: 'problem',
      message: expect.stringContaining(`no space left at ${person.home} (ENOSPC)`) as string,
      hint: expect.stringMatching(/^Free space there/) as string,
    });
});

it('up says that it cannot store its identity', async (context) => {
  const { person, within } = await withFullDisk(context);
  const { code, stderr } = await person.run(['up'], { within });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /identity\.json cannot be written \(ENOSPC\) \[state_unwritable\]\n {2}Check the .* free space/,
  );
});

/** Each write to it fails with ENOSPC. Linux and BSD have it. */
const FULL = '/dev/full';

it.skipIf(!existsSync(FULL)).each(['plan', 'validate --json', 'doctor', '--help'])(
  `%s says that its output is incomplete when a full disk receives it${existsSync(FULL) ? '' : ' (no /dev/full)'}`,
  async (command) => {
    const person = await Person.create();
    await writeFile(join(person.folder, 'portal.yaml'), 'version: 1\nservices: { web: 3000 }\n');
    const within = ['sh', '-c', `exec "$@" > ${FULL}`, 'sh'];
    const { code, stderr } = await person.run(command.split(' '), { within });
    expect(stderr).toContain('error: the output is incomplete: ENOSPC\n');
    expect(code).toBe(1);
  },
);
