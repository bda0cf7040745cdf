/** Programs that import the built package: Portal does not change their process. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';

const LIBRARY = new URL('../../dist/portal/library.js', import.meta.url).href;

/** Runs a module that may import `portal-up`, until it ends. */
async function program(source: string): Promise<{ stdout: string; stderr: string }> {
  const folder = await temporaryFolder();
  const file = join(folder, 'program.mjs');
  await writeFile(file, `import { up, expose } from ${JSON.stringify(LIBRARY)};\n${source}`);
  const env = { ...process.env, PORTAL_HOME: join(folder, 'home') };
  return promisify(execFile)(process.execPath, [file], { cwd: folder, env, timeout: 100_000 });
}

const EMBEDDED = 'relays: { embedded: { port: 0 } }';

it('prints nothing, handles no signals, and lets the process end', async () => {
  const { stdout, stderr } = await program(`
    const names = () => process.eventNames().filter((name) => /^SIG|Exception|Rejection/i.test(String(name))).sort();
    const before = names();
    const portal = await up({ ${EMBEDDED}, services: { web: 3000 } });
    const tunnel = await expose(3001);
    process.stdout.write(JSON.stringify({ before, during: names(), urls: [portal.services.web.url, tunnel.url].length }));
    await tunnel.close();
    await portal.close();
  `);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({ before: [], during: [], urls: 2 });
});

it('passes an error of a listener to the program, and keeps running', async () => {
  const { stdout } = await program(`
    process.once('uncaughtException', ({ message }) => process.stdout.write(message + '\\n'));
    const portal = await up({ ${EMBEDDED}, services: { web: 3000 } }, {
      onEvent: ({ event }) => { if (event === 'started') throw new Error('of the listener'); },
    });
    process.stdout.write(portal.services.web.state);
    await portal.close();
  `);
  expect(stdout).toBe('of the listener\nready');
});
