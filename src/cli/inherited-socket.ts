import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { makePrivateFolder } from '../lib/private-file.js';
import type { SharedSocket } from '../relay/listen.js';
import { claimSocket } from './control/claim.js';
import { usage } from './expose-services.js';

/** The first descriptor that systemd hands over (sd_listen_fds(3)). */
const FIRST_FD = 3;
/** Which one is the public port, where there are several: `FileDescriptorName=public`. */
const PUBLIC = 'public';

/**
 * The descriptor of the socket that this process was started with, as systemd's socket activation says it in the
 * environment; undefined: none was meant for it. Throws `usage` where it is not clear which one.
 */
export function inheritedFd(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  // Passed on by whoever was started with it: not meant for us.
  if (env['LISTEN_PID'] !== String(pid)) return undefined;
  const count = Number(env['LISTEN_FDS']);
  if (!Number.isInteger(count) || count < 1) return undefined;
  if (count === 1) return FIRST_FD;
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  const named = names.flatMap((name, index) => (name === PUBLIC && index < count ? FIRST_FD + index : []));
  if (named.length === 1) return named[0];
  throw usage(
    `${count} sockets were handed over, and ${named.length} of them are named "${PUBLIC}"; the relay has one public port`,
  );
}

/** `fd`, which other relays have too: it is the one's that listens at `path`. */
export function sharedSocket(fd: number, path: string): SharedSocket {
  let claimed: Server | undefined;
  return {
    fd,
    claim: async () => {
      await makePrivateFolder(dirname(path));
      const server = createServer((socket) => socket.destroy());
      if ((await claimSocket(server, path)) === 'taken') return false;
      claimed = server.unref();
      return true;
    },
    release: () => {
      claimed?.close();
      claimed = undefined;
    },
  };
}
