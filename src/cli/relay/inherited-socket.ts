import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { makePrivateFolder } from '../../lib/private-file.js';
import type { SharedSocket } from '../../relay/public-port/listen.js';
import { claimSocket } from '../control/claim.js';
import { usage } from '../expose-services.js';

/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST_FD = 3;
/** Names that distinguish several descriptors: `FileDescriptorName=`. */
const PUBLIC = 'public';
const HTTP = 'http';

export interface InheritedFds {
  readonly public: readonly number[];
  /** Sockets that redirect plain HTTP to https. */
  readonly http: readonly number[];
}

/**
 * The descriptors that systemd's socket activation gave this process, as the environment lists them; undefined if
 * none. Throws `usage` if it is unclear which ones are the public port.
 */
export function inheritedFds(env: NodeJS.ProcessEnv, pid: number): InheritedFds | undefined {
  // The variables may be inherited from a parent process.
  if (env['LISTEN_PID'] !== String(pid)) return undefined;
  const count = Number(env['LISTEN_FDS']);
  if (!Number.isInteger(count) || count < 1) return undefined;
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  const all = Array.from({ length: count }, (_, index) => ({ fd: FIRST_FD + index, name: names[index] }));
  const fdsOf = (some: typeof all): number[] => some.map(({ fd }) => fd);
  const http = all.filter(({ name }) => name === HTTP);
  const others = all.filter(({ name }) => name !== HTTP);
  const named = others.filter(({ name }) => name === PUBLIC);
  if (named.length > 0) return { public: fdsOf(named), http: fdsOf(http) };
  if (others.length === 1) return { public: fdsOf(others), http: fdsOf(http) };
  throw usage(
    `systemd passed ${count} sockets, and none has the name "${PUBLIC}"`,
    `Set FileDescriptorName=${PUBLIC} for the sockets of the public port.`,
  );
}

/** Sockets that several relays share: they belong to the relay that listens at `path`. */
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
