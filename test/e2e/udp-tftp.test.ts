import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { programFor } from '../support/debian.js';
import { freePort } from '../support/ports.js';
import { agent, desired, relay, service, temporaryFolder } from '../support/world.js';

/** Real TFTP: Debian's client and server, whose replies come from a new port for each transfer. */
it('reads and writes files over TFTP, several in one session', async (context) => {
  const [client, server] = [await programFor(context, 'tftp'), await programFor(context, 'in.tftpd')];
  if (process.getuid?.() !== 0) context.skip('only root can start in.tftpd');
  const folder = await temporaryFolder();
  const served = join(folder, 'served');
  await mkdir(served);
  const [first, second, third] = [randomBytes(200_000), randomBytes(512 * 40), randomBytes(70_001)];
  await writeFile(join(served, 'first'), first);
  await writeFile(join(served, 'second'), second);
  await writeFile(join(folder, 'third'), third);
  // The server writes only to existing files that every user may write to.
  await writeFile(join(served, 'third'), '');
  await chmod(join(served, 'third'), 0o666);
  for (const each of [folder, served]) await chmod(each, 0o755);
  const port = await freePort();
  const args = [
    '--foreground',
    '--listen',
    '--address',
    `127.0.0.1:${port}`,
    '--secure',
    '--user',
    'root',
    served,
  ];
  const tftpd = spawn(server, args, { stdio: 'ignore' });
  onTestFinished(() => void tftpd.kill());
  const at = await relay({ ports: { udp: 'any' } });
  const one = await agent();
  const spec = service('boot', port, { mode: 'udp', udp: { replyFromAnyPort: true } });
  await one.runner.apply(desired([at.spec], spec));
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const publicPort = udpAddr!.split(':')[1]!;
  // One session of the client uses one port for all its transfers.
  const session = promisify(execFile)(client, ['-m', 'binary', '127.0.0.1', publicPort], { cwd: folder });
  session.child.stdin!.end('get first\nget second\nput third\nquit\n');
  await session;
  expect((await readFile(join(folder, 'first'))).equals(first)).toBe(true);
  expect((await readFile(join(folder, 'second'))).equals(second)).toBe(true);
  expect((await readFile(join(served, 'third'))).equals(third)).toBe(true);
});
