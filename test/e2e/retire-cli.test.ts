import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { browserPage } from '../support/browser.js';
import { programFor } from '../support/debian.js';
import { eventually } from '../support/eventually.js';
import { httpService } from '../support/world.js';
import { jsonLines, Person } from './cli-support.js';

const BYTES = 64 * 1024 * 1024;

/** A site that shows its name, and a download that pauses half way until the test continues it. */
async function site(name: string) {
  const body = randomBytes(BYTES);
  const paused: (() => void)[] = [];
  const { port } = await httpService((request, response) => {
    if (request.url !== '/download')
      return void response.setHeader('content-type', 'text/html').end(`<title>${name}</title>`);
    response.setHeader('content-length', BYTES).write(body.subarray(0, BYTES / 2));
    return void paused.push(() => response.end(body.subarray(BYTES / 2)));
  });
  return { port, paused, sha: createHash('sha256').update(body).digest('hex') };
}

/** `portal up` with a file that publishes one service in mode stream. */
async function publishing(port: number) {
  const person = await Person.create();
  const file = join(person.folder, 'portal.yaml');
  const save = (target: number): Promise<void> =>
    writeFile(
      file,
      `version: 1\nrelays: { embedded: { port: 0 } }\nservices:\n  web: { mode: stream, target: ${target} }\n`,
    );
  await save(port);
  const running = person.start(['up', '--json']);
  const { url } = await running.event('lease', ({ phase }) => phase === 'ready');
  const status = async () => {
    const { stdout } = await person.run(['status', '--json']);
    const { leases } = jsonLines(stdout)[0] as unknown as { leases: { retiring?: number }[] };
    return leases[0]!;
  };
  return { person, running, save, url: String(url), status };
}

it('curl keeps its connection until the file is edited, and a download finishes', async (context) => {
  const curl = await programFor(context, 'curl');
  const [old, next] = [await site('old'), await site('next')];
  const { running, save, url, status, person } = await publishing(old.port);
  const { hostname, port } = new URL(url);
  const options = ['--silent', '--show-error', '--insecure', '--resolve', `${hostname}:${port}:127.0.0.1`];
  const output = join(person.folder, 'download');
  const download = promisify(execFile)(curl, [...options, '--output', output, `${url}/download`]);
  await eventually(() => expect(old.paused.length).toBe(1));
  // One curl, one connection: a request each second, which reports whether it had to connect.
  const many = Array.from({ length: 40 }, () => [
    '--next',
    ...options,
    '--write-out',
    ' %{num_connects}\n',
    url,
  ]);
  const config = ['--rate', '60/m', ...many.flat().slice(1)];
  const keeping = spawn(curl, config, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void keeping.kill());
  let said = '';
  keeping.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually(() => expect(said).toContain('old</title> 0'));
  await save(next.port);
  const applied = await running.event('applied', ({ updated }) => (updated as string[]).includes('web'));
  expect((applied['retiring'] as { web: number }).web).toBeGreaterThanOrEqual(1);
  await eventually(() => expect(said).toContain('next</title> 0'));
  await eventually(async () => expect(await status()).toMatchObject({ retiring: 1 }));
  expect((await person.run(['status'])).stdout).toContain('1 visitor is still on the previous configuration');
  old.paused[0]!();
  await download;
  const { stdout } = await promisify(execFile)('sha256sum', [output]);
  expect(stdout).toContain(old.sha);
  await eventually(async () => expect(await status()).not.toHaveProperty('retiring'));
});

it('a reloaded tab shows the new target', async (context) => {
  const page = await browserPage(context);
  const [old, next] = [await site('old'), await site('next')];
  const { save, url, running } = await publishing(old.port);
  await page.goto(url);
  await page.reload();
  expect(await page.title()).toBe('old');
  await save(next.port);
  await running.event('applied', ({ updated }) => (updated as string[]).includes('web'));
  await eventually(async () => {
    await page.reload();
    expect(await page.title()).toBe('next');
  });
});
