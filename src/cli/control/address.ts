import { createHash } from 'node:crypto';
import { lstat, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortalError, asPortalError } from '../../lib/errors.js';
import { makePrivateFolder, shellQuote } from '../../lib/private-file.js';

/** sun_path holds 104 bytes on macOS and the BSDs, 108 on Linux, each with a closing zero. */
const MAX_SOCKET_PATH_BYTES = 100;
const HASH_LENGTH = 16;
const PIPE_PREFIX = '\\\\.\\pipe\\';

/** Whom to talk to: the agent of a file (its real path), or one without a file (`expose`), by process id. */
export type AgentKey = { readonly file: string } | { readonly pid: number };

/**
 * Where the agents of one person listen. Sockets live in `runDir`, or, where that path is too long for a
 * socket, in a folder of the system's temporary one that belongs to this user alone.
 */
export interface ControlPlace {
  /** Makes the folder, and makes sure that no one else can reach into it. */
  prepare(): Promise<void>;
  /** The socket of one agent. */
  address(key: AgentKey): string;
  /** Sockets that are there now; of agents that run, or of ones that died. */
  list(): Promise<string[]>;
}

export function controlPlace(runDir: string, platform: NodeJS.Platform = process.platform): ControlPlace {
  if (platform === 'win32') return pipePlace(runDir);
  const fits = Buffer.byteLength(join(runDir, `${'x'.repeat(HASH_LENGTH)}.sock`)) <= MAX_SOCKET_PATH_BYTES;
  const folder = fits ? runDir : join(tmpdir(), `portal-${userId()}`, hash(runDir));
  return {
    prepare: async () => {
      if (!fits) await preparePrivateFolder(join(folder, '..'));
      await preparePrivateFolder(folder);
    },
    address: (key) => join(folder, `${keyHash(key)}.sock`),
    list: async () => {
      const names = await readdir(folder).catch(() => []);
      return names.filter((name) => name.endsWith('.sock')).map((name) => join(folder, name));
    },
  };
}

/** Beside a socket: whose it is, to be named when that process does not answer. A pipe has nothing beside it. */
export function pidFileOf(socket: string): string | undefined {
  return socket.startsWith(PIPE_PREFIX) ? undefined : `${socket}.pid`;
}

/** Named pipes have one name space a machine, and vanish with their process. */
function pipePlace(runDir: string): ControlPlace {
  const prefix = `portal-${hash(runDir)}-`;
  return {
    prepare: () => Promise.resolve(),
    address: (key) => `${PIPE_PREFIX}${prefix}${keyHash(key)}`,
    list: async () => {
      const names = await readdir(PIPE_PREFIX).catch(() => []);
      return names.filter((name) => name.startsWith(prefix)).map((name) => PIPE_PREFIX + name);
    },
  };
}

/** Not `os.userInfo()`: that fails for a user id without an entry in the list of users, as containers have them. */
const userId = (): number | undefined => process.getuid?.();
const keyHash = (key: AgentKey): string => hash('file' in key ? `file:${key.file}` : `pid:${key.pid}`);
const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH);

/** Whoever can write to the folder could stand in for an agent: it must be ours, a real folder, and closed to others. */
async function preparePrivateFolder(folder: string): Promise<void> {
  await makePrivateFolder(folder).catch((error: unknown) => {
    throw new PortalError('state_unwritable', `${folder} cannot be made: ${asPortalError(error).message}`, {
      cause: error,
    });
  });
  const stat = await lstat(folder);
  if (stat.isDirectory() && stat.uid === userId() && (stat.mode & 0o077) === 0) return;
  throw new PortalError('state_unwritable', `${folder} is not a folder that only you can open`, {
    hint: `It holds the sockets of running agents. Remove it, or run: chmod 700 ${shellQuote(folder)}`,
  });
}
