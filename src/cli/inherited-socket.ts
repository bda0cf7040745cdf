import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { makePrivateFolder } from '../lib/private-file.js';
import type { SharedSocket } from '../relay/listen.js';
import { claimSocket } from './control/claim.js';
import { usage } from './expose-services.js';

/** The first descriptor that systemd hands over (sd_listen_fds(3)). */
const FIRST_FD = 3;
/** Which ones are the public port, where there are several: `FileDescriptorName=public`. */
const PUBLIC = 'public';

/**
 * The descriptors of the sockets that this process was started with, as systemd's socket activation says it in the
 * environment; undefined: none was meant for it. Throws `usage` where it is not clear which ones.
 */
export function inheritedFds(env: NodeJS.ProcessEnv, pid: number): readonly number[] | undefined {
  // Passed on by whoever was started with it: not meant for us.
  if (env['LISTEN_PID'] !== String(pid)) return undefined;
  const count = Number(env['LISTEN_FDS']);
  if (!Number.isInteger(count) || count < 1) return undefined;
  if (count === 1) return [FIRST_FD];
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  const named = names.flatMap((name, index) => (name === PUBLIC && index < count ? FIRST_FD + index : []));
  if (named.length > 0) return named;
  throw usage(
    `${count} sockets were handed over, and none is named "${PUBLIC}" (FileDescriptorName=): which ones are the public port?`,
  );
}

/** `fds`, which other relays have too: they are the one's that listens at `path`. */
export function sharedSocket(fds: readonly number[], path: string): SharedSocket {
  let claimed: Server | undefined;
  return {
    fds,
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
