import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { programFor } from '../support/debian.js';
import { freePort } from '../support/ports.js';
import { Person } from './cli-support.js';

const PORTAL = fileURLToPath(new URL('../../bin/portal.js', import.meta.url));
const HALF_A_MINUTE = { timeout: 30_000 };

test('on a terminal, up shows services, relays and keys, and ends without a trace of them', async (ctx) => {
  const script = await programFor(ctx, 'script');
  const person = await Person.create();
  const dead = await freePort();
  await writeFile(join(person.folder, 'portal.yaml'), `version: 1\nservices: { web: ${dead} }\n`);
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

  await isShown(/▲ web +ready +https:\/\/web\.localhost:\d+ +✗/);
  await isShown(new RegExp(`nothing listens on port ${dead}`));
  await isShown(/relay embedded:\d+ +connected/);
  terminal.stdin.write('?');
  await isShown(/show its URL as a QR code/);
  terminal.stdin.write('x');
  terminal.stdin.write('q');
  await isShown(/▄▄▄▄▄/);
  await isShown(/Another device cannot open this URL/);
  terminal.stdin.write('x');
  terminal.stdin.write('c');
  await isShown(/asked the terminal to copy it/);
  await isShown(/^https:\/\/web\.localhost:\d+\s*$/m);
  expect(text).toContain('\u001B]52;c;');
  const ended = once(terminal, 'exit');
  terminal.stdin.write('\u0003');
  await isShown(/stopped: SIGINT/);
  await ended;
  expect(text.lastIndexOf('\u001B[?25h')).toBeGreaterThan(text.lastIndexOf('\u001B[?25l'));
});
