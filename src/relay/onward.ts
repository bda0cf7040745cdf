import type { Socket } from 'node:net';
import { dial } from '../net/dial.js';
import type { Resolver } from '../net/resolve.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import { LIMITS } from '../protocol/limits.js';

const TCP = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  highWaterMark: SOCKET_BUFFER_BYTES,
} as const;

/** A connection that a relay opens itself, to pass another one on. */
export function openOnward(host: string, port: number, resolver?: Resolver): Promise<Socket> {
  return dial({ host, port, ms: LIMITS.hopMs, tcp: TCP, ...(resolver && { resolver }) });
}
