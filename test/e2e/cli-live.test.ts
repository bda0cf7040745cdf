import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { expect, test, type TestContext } from 'vitest';
import { programFor } from '../support/debian.js';
import { freePort } from '../support/ports.js';
import { Person } from './cli-support.js';

const PORTAL = fileURLToPath(new URL('../../bin/portal.js', import.meta.url));
const HALF_A_MINUTE = { timeout: 30_000 };

/** `portal up` on a terminal of 100 columns. */
function upOn(ctx: TestContext, script: string, person: Person) {
  const portal = `stty cols 100 rows 30; exec '${process.execPath}' '${PORTAL}' up`;
  const { CI: _, ...env } = process.env;
  const terminal = spawn(script, ['-qfec', portal, '/dev/null'], {
    cwd: person.folder,
    env: { ...env, PORTAL_HOME: person.home, TERM: 'xterm-256color' },
  });
  ctx.onTestFinished(() => void terminal.kill('SIGKILL'));
  let text = '';
  terminal.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const shown = (): string => stripVTControlCharacters(text);
  const isShown = async (pattern: RegExp): Promise<void> => {
    await expect.poll(shown, HALF_A_MINUTE).toMatch(pattern);
  };
  return { terminal, shown, isShown, raw: () => text };
}

test('on a terminal, up shows services, relays and keys, and ends without a trace of them', async (ctx) => {
  const script = await programFor(ctx, 'script');
  const person = await Person.create();
  const dead = await freePort();
  await writeFile(join(person.folder, 'portal.yaml'), `version: 1\nservices: { web: ${dead} }\n`);
  const { terminal, isShown, raw } = upOn(ctx, script, person);

  await isShown(/! web +target down +https:\/\/web\.localhost:\d+ +✗/);
  await isShown(new RegExp(`nothing listens on port ${dead}`));
  await isShown(/relay embedded:\d+ +connected/);
  terminal.stdin.write('?');
  await isShown(/show its URL as a QR code/);
  terminal.stdin.write('x');
  terminal.stdin.write('q');
  await isShown(/▄▄▄▄▄/);
  await isShown(/Other devices cannot reach this address/);
  terminal.stdin.write('x');
  terminal.stdin.write('c');
  await isShown(/copied https:\/\/web\.localhost:\d+, if your terminal/);
  await isShown(/^https:\/\/web\.localhost:\d+\s*$/m);
  expect(raw()).toContain('\u001B]52;c;');
  const ended = once(terminal, 'exit');
  terminal.stdin.write('\u0003');
  await isShown(/no longer served:\s+web {2}https:\/\/web\.localhost:\d+\s[^]*stopped: SIGINT/);
  await ended;
  expect(raw().lastIndexOf('\u001B[?25h')).toBeGreaterThan(raw().lastIndexOf('\u001B[?25l'));
});

test('the view shows commands that start, what they wait for, and held requests', async (ctx) => {
  const script = await programFor(ctx, 'script');
  const person = await Person.create();
  const file = (name: string): string => join(person.folder, name);
  await writeFile(
    file('serve.mjs'),
    "import { createServer } from 'node:http';\ncreateServer((_, r) => r.end()).listen(process.env.PORT);\n",
  );
  const serve = `exec '${process.execPath}' serve.mjs`;
  const services = {
    api: { command: `until [ -e go ]; do sleep 0.05; done; ${serve}` },
    web: { command: serve, dependsOn: ['api'] },
    hooks: { target: await freePort(), hold: '10m' },
  };
  const relays = { embedded: { port: 0 } };
  await writeFile(file('portal.yaml'), JSON.stringify({ version: 1, relays, services }));
  const { terminal, shown, isShown } = upOn(ctx, script, person);

  await isShown(/… api +starting +https:/);
  await isShown(/… web +starting +https:[^\n]*\n +waiting for api/);
  await isShown(/! hooks +target down +https:/);
  expect(shown()).not.toMatch(/(api|web) +target down/);
  const [, port] = /https:\/\/hooks\.localhost:(\d+)/.exec(shown())!;
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method: 'POST',
    servername: 'hooks.localhost',
    headers: { host: `hooks.localhost:${port}` },
    rejectUnauthorized: false,
    agent: false,
  });
  const [response] = (await once(outgoing.end('{}'), 'response')) as [IncomingMessage];
  expect(response.resume().statusCode).toBe(202);
  await isShown(/! hooks +target down, 1 held +https:/);
  await writeFile(file('go'), '');
  await isShown(/✓ api +ready[^]*✓ web +ready/);
  const ended = once(terminal, 'exit');
  terminal.stdin.write('\u0003');
  await ended;
});

test.for([3, 16])(
  'in tmux, up with %i services shows its view once after each change of size',
  async (count, ctx) => {
    const tmux = await programFor(ctx, 'tmux');
    const person = await Person.create();
    const dead = await freePort();
    const services = Array.from({ length: count }, (_, at) => `svc${at}: ${dead}`).join(', ');
    await writeFile(join(person.folder, 'portal.yaml'), `version: 1\nservices: { ${services} }\n`);
    const { CI: _, TMUX: __, ...env } = process.env;
    const options = { cwd: person.folder, env: { ...env, PORTAL_HOME: person.home } };
    const run = async (...words: string[]): Promise<string> => {
      const { stdout } = await promisify(execFile)(
        tmux,
        ['-S', join(person.folder, 'tmux'), ...words],
        options,
      );
      return stdout;
    };
    const portal = `'${process.execPath}' '${PORTAL}' up; exec cat`;
    await run('-f', '/dev/null', 'new-session', '-d', '-x', '120', '-y', '30', portal);
    ctx.onTestFinished(() => run('kill-server').then(() => undefined));
    /** The screen and its history. */
    const shown = (): Promise<string> => run('capture-pane', '-p', '-S', '-');
    const headers = async (): Promise<string[]> => (await shown()).match(/SERVICE +STATE[ A-Z]*/g) ?? [];

    const wide = [expect.stringMatching(/ADDRESS +TARGET/)];
    // A terminal that gets its new size first may wrap what was written before.
    await expect.poll(shown, HALF_A_MINUTE).toContain('all services are published');
    await expect.poll(headers, HALF_A_MINUTE).toEqual(wide);
    // Not before the last line above the view: a terminal that is resized first may wrap what was written before.
    await expect.poll(shown, HALF_A_MINUTE).toContain('all services are published');
    await expect
      .poll(shown, HALF_A_MINUTE)
      .toMatch(/(nothing listens[^]*){3}connected +\d+ ms[^]*Ctrl-C stop/);
    for (const [columns, header] of [
      ['80', /ADDRESS +OPEN/],
      ['120', /ADDRESS +TARGET/],
      ['60', /STATE +OPEN/],
      ['120', /ADDRESS +TARGET/],
    ] as const) {
      await run('resize-window', '-x', columns, '-y', '30');
      await expect.poll(headers, HALF_A_MINUTE).toEqual([expect.stringMatching(header)]);
    }
    await run('send-keys', 'C-c');
    await expect.poll(shown, HALF_A_MINUTE).toContain('stopped: SIGINT');
    expect((await shown()).match(/^ +svc\d+ +https:/gm)).toHaveLength(count);
    expect(await headers()).toEqual([]);
  },
);
