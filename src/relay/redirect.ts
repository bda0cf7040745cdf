import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { Front } from './front.js';
import type { Address, ListenHost } from './listen.js';

/** The port for people who type a name without https: plain HTTP there is sent on to the public port. */

export type RedirectSpec =
  /** `isOptional`: only beside port 443, and only if this process can have it. */
  | { readonly port: number; readonly isOptional?: true }
  /** Sockets that the relay was started with, as its public port is. */
  | { readonly fds: readonly number[] };

const HTTPS_PORT = 443;

export interface RedirectOptions {
  /** Where the public port is listened at. */
  readonly hosts: readonly ListenHost[];
  readonly port: number;
  readonly asked: RedirectSpec | undefined;
  readonly log: Logger;
}

/**
 * Listens at the addresses of the public port, once that is this process's: a relay that is about to stop gives up this port
 * first. Resolves with where.
 */
export async function listenForRedirects(
  front: Front,
  { hosts, port, asked, log }: RedirectOptions,
): Promise<Address[]> {
  if (!asked) return [];
  const isOptional = 'port' in asked && asked.isOptional === true;
  if (isOptional && port !== HTTPS_PORT) return [];
  try {
    const at = await front.listenPlain(
      'fds' in asked ? { hosts, port: 0, shared: alreadyClaimed(asked.fds) } : { hosts, port: asked.port },
    );
    return at.hosts.map(({ host }) => ({ host, port: at.port }));
  } catch (error) {
    if (!isOptional) throw error;
    const { code, message } = asPortalError(error);
    log.info({ port: asked.port, code, reason: message }, 'plain HTTP is not redirected to https');
    return [];
  }
}

/** They come with those of the public port, and go to the same relay. */
const alreadyClaimed = (fds: readonly number[]) => ({
  fds,
  claim: () => Promise.resolve(true),
  release: () => undefined,
});
