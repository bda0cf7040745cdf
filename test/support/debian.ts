import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { TestContext } from 'vitest';

/**
 * Debian programs that tests use as real peers. Missing ones are installed before the tests if this user may do so.
 */

const run = promisify(execFile);
const INSTALL_MS = 240_000;

/** Every program that a test needs, and its package. */
const PROGRAMS = {
  bash: 'bash',
  certutil: 'libnss3-tools',
  chromium: 'chromium',
  curl: 'curl',
  dig: 'dnsutils',
  dnsmasq: 'dnsmasq-base',
  faketime: 'faketime',
  fish: 'fish',
  haproxy: 'haproxy',
  'in.tftpd': 'tftpd-hpa',
  initdb: 'postgresql',
  ip: 'iproute2',
  microsocks: 'microsocks',
  nft: 'nftables',
  nginx: 'nginx-light',
  openssl: 'openssl',
  pebble: 'pebble',
  pgbouncer: 'pgbouncer',
  pg_basebackup: 'postgresql-client',
  pg_dump: 'postgresql-client',
  pg_restore: 'postgresql-client',
  postgres: 'postgresql',
  psql: 'postgresql-client',
  promtool: 'prometheus',
  'redis-cli': 'redis-tools',
  'redis-server': 'redis-server',
  script: 'bsdutils',
  setpriv: 'util-linux',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  sshd: 'openssh-server',
  'systemd-analyze': 'systemd',
  tc: 'iproute2',
  tcpdump: 'tcpdump',
  tftp: 'tftp-hpa',
  tinyproxy: 'tinyproxy-bin',
  tmux: 'tmux',
  unshare: 'util-linux',
  'update-ca-certificates': 'ca-certificates',
  zsh: 'zsh',
} as const;

export type Program = keyof typeof PROGRAMS;
export type Binary = { readonly path: string } | { readonly skip: string };

/** Folders for programs that users do not run directly. */
const FOLDERS = ['/usr/sbin', '/sbin', ...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean)];

const POSTGRES = '/usr/lib/postgresql';

/** `name` as an absolute path, or the reason to skip. */
export async function ensureBinary(name: Program): Promise<Binary> {
  const path = await find(name);
  return path ? { path } : { skip: `${name} is not installed (Debian: ${PROGRAMS[name]})` };
}

/** `name` as an absolute path. Skips the test with the reason if it is missing. */
export async function programFor(context: TestContext, name: Program): Promise<string> {
  const found = await ensureBinary(name);
  return 'path' in found ? found.path : context.skip(found.skip);
}

/** Installs all missing packages together. Resolves with the error, if there was one. */
export async function installMissing(): Promise<string | undefined> {
  const found = await Promise.all(Object.keys(PROGRAMS).map((name) => find(name)));
  const packages = new Set(Object.values(PROGRAMS).filter((_, index) => !found[index]));
  if (packages.size === 0) return undefined;
  const names = [...packages].join(', ');
  if (process.getuid?.() !== 0) return `only root can install ${names}`;
  if (!(await find('apt-get'))) return `there is no apt-get to install ${names} with`;
  // RUNLEVEL 1 installs system services without starting them.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const options = { timeout: INSTALL_MS, env };
  const apt = ['-qq', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2'];
  const get = () =>
    run('apt-get', [...apt, 'install', '-y', '--no-install-recommends', ...packages], options);
  try {
    await get().catch(async () => {
      // The package lists may be outdated or missing.
      await run('apt-get', [...apt, 'update'], options);
      await get();
    });
    return undefined;
  } catch (error) {
    return `${names} could not be installed (${(error as Error).message.split('\n', 1)[0]})`;
  }
}

/** Debian has several versions of PostgreSQL, outside of the PATH. Newest first. */
async function postgresFolders(): Promise<string[]> {
  const versions = await readdir(POSTGRES).catch(() => []);
  return versions.toSorted((a, b) => Number(b) - Number(a)).map((version) => join(POSTGRES, version, 'bin'));
}

async function find(name: string): Promise<string | undefined> {
  for (const folder of [...FOLDERS, ...(await postgresFolders())]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}
