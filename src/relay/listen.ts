import type { AddressInfo, Server } from 'node:net';
import { asPortalError, PortalError, systemCode } from '../lib/errors.js';
import { delay } from '../lib/wait.js';

/** Listening on the public port: one of the relay's own, or one that it was started with and shares. */

/**
 * A socket that listens already, and goes on to when this process is gone: whoever starts relays has it, and gives it
 * to each. Connections wait in it while nobody takes them, so one process at a time does.
 */
export interface SharedSocket {
  readonly fd: number;
  /** Makes it this process's alone; false: another one still has it. */
  claim(): Promise<boolean>;
  release(): void;
}

export interface ListenAt {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** In place of host and port. */
  readonly shared?: SharedSocket | undefined;
}

export interface TakeOver {
  readonly takeOverMs?: number | undefined;
  /** Hears once that it has to wait. */
  readonly onWait?: () => void;
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
}

/** Connections that wait to be accepted. */
const BACKLOG = 4_096;
/** A port that another process gives up is looked for this often. */
const TAKE_OVER_LOOK_MS = 50;

/** Makes `server` listen; resolves with where. What is taken is waited for, for `takeOverMs`. */
export async function listen(
  server: Server,
  at: ListenAt,
  { takeOverMs = 0, signal, onWait }: TakeOver = {},
): Promise<AddressInfo> {
  const startedAt = performance.now();
  for (let tries = 0; ; tries++) {
    try {
      await (at.shared ? listenShared(server, at.shared) : listenOnce(server, at));
      break;
    } catch (error) {
      const waits = isTaken(error) && performance.now() - startedAt < takeOverMs;
      if (!waits) throw listenError(error, at.host, at.port);
      if (tries === 0) onWait?.();
      await delay(TAKE_OVER_LOOK_MS, signal);
    }
  }
  const address = server.address();
  if (address && typeof address === 'object') return address;
  throw new PortalError('listen_failed', `the socket that was handed over is no TCP socket`);
}

async function listenShared(server: Server, shared: SharedSocket): Promise<void> {
  if (!(await shared.claim()))
    throw new PortalError('address_in_use', 'another relay serves the shared socket');
  try {
    // The second argument: of an options object without a port, node does not read the backlog.
    await listening(server, () => void server.listen({ fd: shared.fd }, BACKLOG as never));
  } catch (error) {
    shared.release();
    throw error;
  }
}

function listenOnce(server: Server, { host, port }: ListenAt): Promise<void> {
  return listening(server, () => void server.listen({ host, port, backlog: BACKLOG }));
}

function listening(server: Server, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      server.off('error', settle).off('listening', settle);
      if (error) reject(error);
      else resolve();
    };
    server.once('error', settle).once('listening', settle);
    begin();
  });
}

function isTaken(error: unknown): boolean {
  return (
    systemCode(error) === 'EADDRINUSE' || (error instanceof PortalError && error.code === 'address_in_use')
  );
}

/** What kept us from listening, in words of ours. */
export function listenError(error: unknown, host: string, port: number): PortalError {
  if (error instanceof PortalError) return error;
  const code = systemCode(error) === 'EADDRINUSE' ? 'address_in_use' : 'listen_failed';
  const message = code === 'address_in_use' ? `${host}:${port} is in use` : asPortalError(error).message;
  return new PortalError(code, message, { cause: error });
}
