/** `npm run demo` and its sample services, on a machine where another program uses their first port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test, type TestContext } from 'vitest';
import { Person } from './cli-support.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HALF_A_MINUTE = { timeout: 30_000 };

/** The first ports of the page and of the relay, which another program uses. */
const BUSY = 'for (const port of [3000, 8443]) require("net").createServer().listen(port, "127.0.0.1")';
/** Ends once the other program has both ports. */
const IS_BUSY =
  'const look = () => require("net").connect(8443, "127.0.0.1").on("connect", () => process.exit()).on("error", () => setTimeout(look, 20)); look()';

/** Starts a program in a network of its own, because its ports are fixed and other tests run at the same time. */
async function start(
  ctx: TestContext,
  program: string,
): Promise<{ child: ChildProcess; shown: () => string }> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    ctx.skip('only root on Linux can create a network of its own');
  const person = await Person.create();
  const env = { ...process.env, PORTAL_HOME: person.home, APP_PIN: '' };
  const script = 'ip link set lo up; "$0" -e "$1" & "$0" -e "$2"; exec "$0" "$3"';
  const args = ['--net', 'sh', '-c', script, process.execPath, BUSY, IS_BUSY, program];
  const child: ChildProcess = spawn('unshare', args, {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  onTestFinished(() => void process.kill(-child.pid!, 'SIGKILL'));
  let text = '';
  child.stderr!.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, shown: () => text };
}

test('the demo moves a sample service to a free port, and publishes it there', async (ctx) => {
  const { child, shown } = await start(ctx, 'scripts/demo.mjs');
  await expect.poll(shown, HALF_A_MINUTE).toContain('all services are ready');
  expect(shown()).toMatch(/^sample service web: http:\/\/127\.0\.0\.1:3\d\d0 \(port 3000 is in use\)$/m);
  expect(shown()).toMatch(
    /^the demo uses a copy of examples\/portal\.yaml with these ports:\n.*portal\.yaml$/m,
  );
  expect(shown()).toMatch(/^app: PIN [\d-]+/m);
  expect(shown()).not.toContain('not port 19132');
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  expect((await ended)[0]).toBe(0);
});

test('a sample service without the demo says how to free its port', async (ctx) => {
  const { child, shown } = await start(ctx, 'examples/services.mjs');
  expect((await once(child, 'exit'))[0]).toBe(1);
  expect(shown()).toMatch(
    /^sample service web: port 3000 is in use\. Stop the program that listens there\. To find it: \w+ .*3000/m,
  );
});
