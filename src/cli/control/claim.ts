import { chmod, mkdir, rm, rmdir, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { delay } from '../../lib/wait.js';

/** A claim takes milliseconds, so an older lock is from a process that was killed during it. */
const LOCK_STALE_MS = 5_000;
const LOCK_POLL_MS = 20;
const LOCK_WAIT_MS = 3 * LOCK_STALE_MS;
const CONNECT_TIMEOUT_MS = 1_000;

export type Claim = 'claimed' | 'taken';

/**
 * Makes `server` listen at `path`, unless a running agent already does. A killed process leaves its socket file, so
 * replaces a socket that does not respond. A lock prevents two starting agents from replacing each other's socket.
 * Windows' named pipes disappear with their process and need no lock.
 */
export async function claimSocket(server: Server, path: string): Promise<Claim> {
  if (isPipe(path)) return listen(server, path);
  const unlock = await lock(`${path}.lock`);
  try {
    if (await isListening(path)) return 'taken';
    await rm(path, { force: true });
    const claim = await listen(server, path);
    if (claim === 'claimed') await chmod(path, 0o600);
    return claim;
  } finally {
    await unlock();
  }
}

/** Whether a process listens on `path`. */
export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    // A process that is suspended, or too busy to accept, still owns its socket.
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => finish(true));
    socket.once('connect', () => finish(true));
    socket.once('error', (error) => finish(!isAbsent(error)));
  });
}

function isAbsent(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ENOTSOCK';
}

function listen(server: Server, path: string): Promise<Claim> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      if (systemCode(error) === 'EADDRINUSE') resolve('taken');
      else
        reject(
          new PortalError('listen_failed', `cannot listen at ${path}: ${error.message}`, { cause: error }),
        );
    };
    server.once('error', onError);
    server.listen(path, () => {
      // The system may refuse single connections, for example without a free file descriptor.
      server.off('error', onError).on('error', () => undefined);
      resolve('claimed');
    });
  });
}

/** The lock is a folder, because mkdir fails if it exists. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (const startedAt = performance.now(); performance.now() - startedAt < LOCK_WAIT_MS;) {
    try {
      await mkdir(path);
      return () => rmdir(path).catch(() => undefined);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') {
        const why = systemCode(error) ?? asPortalError(error).message;
        throw new PortalError('state_unwritable', `${path} cannot be created (${why})`, { cause: error });
      }
    }
    const held = await stat(path).catch(() => undefined);
    if (held && Date.now() - held.mtimeMs > LOCK_STALE_MS) await rmdir(path).catch(() => undefined);
    else await delay(LOCK_POLL_MS);
  }
  throw new PortalError('timeout', `other processes held ${path} for ${LOCK_WAIT_MS / 1000} s`);
}

const isPipe = (path: string): boolean => path.startsWith('\\\\.\\pipe\\');
