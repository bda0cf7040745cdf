import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { Front } from './front.js';
import type { Address } from '../../net/listen/listen-error.js';
import { claimedSockets, type ListenHost } from './listen.js';

/** The port for plain HTTP, for people who type a name without https: it redirects to the public port. */

export type RedirectSpec =
  /** `isOptional`: only if the public port is 443, and only if this process may listen there. */
  | { readonly port: number; readonly isOptional?: true }
  /** Sockets passed to this process at its start. */
  | { readonly fds: readonly number[] };

const HTTPS_PORT = 443;

export interface RedirectOptions {
  /** The addresses of the public port. */
  readonly hosts: readonly ListenHost[];
  readonly port: number;
  readonly asked: RedirectSpec | undefined;
  readonly log: Logger;
}

/**
 * Listens at the addresses of the public port. Call it once this process has the public port: a relay that shuts down
 * releases the port for plain HTTP first. Resolves with the addresses.
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
      'fds' in asked ? { hosts, port: 0, shared: claimedSockets(asked.fds) } : { hosts, port: asked.port },
    );
    return at.hosts.map(({ host }) => ({ host, port: at.port }));
  } catch (error) {
    if (!isOptional) throw error;
    const { code, message } = asPortalError(error);
    log.info({ port: asked.port, code, reason: message }, 'not redirecting plain HTTP to https');
    return [];
  }
}
