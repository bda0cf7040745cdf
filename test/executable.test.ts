import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nodeSqlite } from '../src/relay/store/sqlite-driver.js';
import { Person } from './e2e/cli-support.js';

/** Portal and Node in one file, from `npm run executable`. */

const root = fileURLToPath(new URL('..', import.meta.url));
const missing = nodeSqlite() ? undefined : `the executable needs Node 22.13 or newer, not ${process.version}`;

let portal: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  const script = fileURLToPath(new URL('../scripts/executable.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 120_000 });
  portal = stdout.trim();
}, 120_000);
beforeEach((ctx) => {
  if (missing !== undefined) ctx.skip(missing);
});

describe('the standalone executable', () => {
  it('contains the files of the package', async () => {
    const person = await Person.create([portal]);
    const { version } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { version: string };
    expect(await person.run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
    const schema = await readFile(`${root}schema/portal.schema.json`, 'utf8');
    expect(await person.run(['schema'])).toMatchObject({ code: 0, stdout: schema });
  });

  it('starts itself as an agent in the background', async () => {
    const person = await Person.create([portal]);
    const file = 'version: 1\nservices:\n  web: { mode: http, target: 9, inspect: true }\n';
    await writeFile(`${person.folder}/portal.yaml`, file);
    expect(await person.run(['up', '--detach'])).toMatchObject({ code: 0 });
    person.downAfterTest();
    expect((await person.run(['status'])).stdout).toMatch(/^web +ready/m);
    expect(await person.run(['down'])).toMatchObject({ code: 0 });
  });

  it('runs a relay', async () => {
    const person = await Person.create([portal]);
    const relay = person.start(['relay', '--listen', '127.0.0.1:0', '--json', '--log-level', 'error']);
    await relay.event('listening');
    expect(relay.stderr).toBe('');
    relay.kill('SIGTERM');
    expect(await relay.finished).toMatchObject({ code: 0 });
  });
});
