/** `npm run demo` and its sample services, on a machine where another program uses their first port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Person } from './cli-support.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HALF_A_MINUTE = { timeout: 30_000 };

/** The first ports of the page and of the relay. */
const PORTS = [3000, 8443];

beforeEach(async () => {
  const others = PORTS.map((port) => createServer().listen(port, '127.0.0.1'));
  // Another program of this machine may use one already.
  const tried = others.map(
    (other) => new Promise((resolve) => other.once('listening', resolve).once('error', resolve)),
  );
  await Promise.all(tried);
  return () => others.forEach((other) => other.close());
});

async function start(program: string): Promise<{ child: ChildProcess; shown: () => string }> {
  const person = await Person.create();
  const env = { ...process.env, PORTAL_HOME: person.home };
  const child = spawn(process.execPath, [program], { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, shown: () => text };
}

test('the demo moves a sample service to a free port, and publishes it there', async () => {
  const { child, shown } = await start('scripts/demo.mjs');
  await expect.poll(shown, HALF_A_MINUTE).toContain('all services are ready');
  expect(shown()).toMatch(/^sample service web: http:\/\/127\.0\.0\.1:3\d\d0 \(port 3000 is in use\)$/m);
  expect(shown()).toMatch(/^the demo uses a copy of examples\/portal\.yaml with these ports: \S+$/m);
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  expect((await ended)[0]).toBe(0);
});

test('a sample service without the demo says how to free its port', async () => {
  const { child, shown } = await start('examples/services.mjs');
  expect((await once(child, 'exit'))[0]).toBe(1);
  expect(shown()).toMatch(
    /^sample service web: port 3000 is in use\. Stop the program that listens there\. To find it: \w+ .*3000/m,
  );
});
