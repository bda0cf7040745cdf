import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished, type TestContext } from 'vitest';
import { programFor } from './debian.js';
import { temporaryFolder } from './folder.js';
import { freePort } from './ports.js';

const run = promisify(execFile);

export interface OpenSsh {
  readonly port: number;
  /** Runs `command` on the server, with its key checked. `to`: options that say how to connect. */
  readonly ssh: (to: readonly string[], command: string, env?: NodeJS.ProcessEnv) => Promise<string>;
}

/** OpenSSH with new keys, for the user of the test alone. Skips the test if it is not installed. */
export async function openSsh(context: TestContext): Promise<OpenSsh> {
  const [sshd, ssh, keygen] = [
    await programFor(context, 'sshd'),
    await programFor(context, 'ssh'),
    await programFor(context, 'ssh-keygen'),
  ];
  const folder = await temporaryFolder();
  const [host, user] = [join(folder, 'host'), join(folder, 'user')];
  for (const file of [host, user]) await run(keygen, ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  const port = await freePort();
  const config = join(folder, 'sshd_config');
  const settings = {
    ListenAddress: `127.0.0.1:${port}`,
    // Quoted, as the paths may have spaces.
    HostKey: `"${host}"`,
    AuthorizedKeysFile: `"${user}.pub"`,
    PidFile: 'none',
    UsePAM: 'no',
    StrictModes: 'no',
    PasswordAuthentication: 'no',
    PermitRootLogin: 'prohibit-password',
  };
  await writeFile(
    config,
    Object.entries(settings)
      .map((line) => `${line.join(' ')}\n`)
      .join(''),
  );
  // The folder of the package's service, which a server that runs as root needs. Its group must not write there.
  if (process.getuid?.() === 0) {
    await mkdir('/run/sshd', { recursive: true });
    await chmod('/run/sshd', 0o755);
  }
  const server = spawn(sshd, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(async () => {
    server.kill('SIGTERM');
    if (server.exitCode === null) await once(server, 'exit');
  });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    server.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('Server listening')) resolve();
    });
    server.once('exit', () => reject(new Error(`sshd ended: ${said}`)));
  });
  const known = join(folder, 'known_hosts');
  await writeFile(known, `server ${await readFile(`${host}.pub`, 'utf8')}`);
  const options = {
    BatchMode: 'yes',
    HostKeyAlias: 'server',
    IdentitiesOnly: 'yes',
    StrictHostKeyChecking: 'yes',
    // Quoted, as the path may have spaces.
    UserKnownHostsFile: `"${known}"`,
  };
  const fixed = Object.entries(options).flatMap((option) => ['-o', option.join('=')]);
  return {
    port,
    ssh: async (to, command, env = {}) => {
      const args = ['-F', 'none', '-i', user, ...fixed, ...to, `${userInfo().username}@127.0.0.1`, command];
      return (await run(ssh, args, { maxBuffer: 1e8, env: { ...process.env, ...env } })).stdout;
    },
  };
}
