import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './folder.js';

const run = promisify(execFile);
const BOUND = { timeout: 60_000 };

/** Typical hosts files: what `localhost` means on different machines. */
const HOSTS_FILES = {
  'IPv4 only': '127.0.0.1 localhost\n',
  'IPv4 and IPv6': '127.0.0.1 localhost\n::1 localhost\n',
  'IPv6 first': '::1 localhost\n127.0.0.1 localhost\n',
  'IPv6 only': '::1 localhost\n',
  'localhost missing': '127.0.0.1 this-machine\n',
} as const;

export type HostsFile = keyof typeof HOSTS_FILES;
export const HOSTS_FILE_NAMES = Object.keys(HOSTS_FILES) as readonly HostsFile[];

/** A DNS server that rejects every query immediately: names outside the hosts file are unknown, without a wait. */
const NO_DNS = 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n';

/**
 * A prefix for a command (`Person.start(args, { within })`) that runs it with another /etc/hosts, and another
 * /etc/resolv.conf (default: no DNS). Nothing else on the machine changes: the mount namespace ends with the command.
 * Or the reason to skip.
 */
export async function hostsFile(
  text: string,
  resolvConf = NO_DNS,
): Promise<{ readonly within: readonly string[] } | { readonly skip: string }> {
  if (process.platform !== 'linux') return { skip: 'mount namespaces need Linux' };
  const folder = await temporaryFolder();
  const [hosts, resolv] = [join(folder, 'hosts'), join(folder, 'resolv.conf')];
  await writeFile(hosts, text);
  await writeFile(resolv, resolvConf);
  // A user who is not root becomes root in a user namespace, where the system allows it.
  const unshare = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--mount'];
  const mounts = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"';
  const within = [...unshare, 'sh', '-c', mounts, 'sh', hosts, resolv];
  try {
    await run(within[0]!, [...within.slice(1), 'true'], BOUND);
  } catch (error) {
    return { skip: `mount namespaces do not work here (${String(error).split('\n', 1)[0]})` };
  }
  return { within };
}

/** The same for one of the five hosts files. */
export const hostsNamed = (name: HostsFile): ReturnType<typeof hostsFile> => hostsFile(HOSTS_FILES[name]);
