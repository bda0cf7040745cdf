import { createHash } from 'node:crypto';
import { lstat, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortalError, asPortalError } from '../../lib/errors.js';
import { makePrivateFolder } from '../../lib/private-file.js';
import { shellQuote } from '../../lib/shell-quote.js';

/** sun_path has 104 bytes on macOS and the BSDs, and 108 on Linux, including a closing zero. */
const MAX_SOCKET_PATH_BYTES = 100;
const HASH_LENGTH = 16;
const PIPE_PREFIX = '\\\\.\\pipe\\';

/** Identifies an agent: by the real path of its file, or by process id if it has none (`expose`). */
export type AgentKey = { readonly file: string } | { readonly pid: number };

/**
 * Where the agents of one user listen. Sockets are in `runDir`. If that path is too long for a socket, they are in a
 * private folder below the system's temporary folder.
 */
export interface ControlPlace {
  /** Creates the folder, and checks that only this user can open it. */
  prepare(): Promise<void>;
  /** The socket of one agent. */
  address(key: AgentKey): string;
  /** Existing sockets: of running agents, and of agents that were killed. */
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

/** The file with the process id, next to a socket, for messages when the agent does not respond. A pipe has none. */
export function pidFileOf(socket: string): string | undefined {
  return socket.startsWith(PIPE_PREFIX) ? undefined : `${socket}.pid`;
}

/** Named pipes share one name space on a machine, and disappear with their process. */
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

/** Not `os.userInfo()`, which fails for a user id without an account, as in containers. */
const userId = (): number | undefined => process.getuid?.();
const keyHash = (key: AgentKey): string => hash('file' in key ? `file:${key.file}` : `pid:${key.pid}`);
const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH);

/**
 * Someone who can write to the folder could impersonate an agent. So it must be a real folder that only this user can
 * open.
 */
async function preparePrivateFolder(folder: string): Promise<void> {
  await makePrivateFolder(folder).catch((error: unknown) => {
    throw new PortalError('state_unwritable', `cannot create ${folder}: ${asPortalError(error).message}`, {
      cause: error,
    });
  });
  const stat = await lstat(folder);
  if (stat.isDirectory() && stat.uid === userId() && (stat.mode & 0o077) === 0) return;
  throw new PortalError('state_unwritable', `${folder} is not a folder that only you can open`, {
    hint: `It contains the sockets of running agents. Remove it, or run: chmod 700 ${shellQuote(folder)}`,
  });
}
