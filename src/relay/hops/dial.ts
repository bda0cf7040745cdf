import type { Socket } from 'node:net';
import { dial } from '../../net/dial.js';
import type { Resolver } from '../../net/resolve.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';

const TCP = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  highWaterMark: SOCKET_BUFFER_BYTES,
} as const;

/** Opens a connection from this relay, to forward another one through it. */
export function dialHop(host: string, port: number, resolver?: Resolver): Promise<Socket> {
  return dial({ host, port, ms: LIMITS.hopMs, tcp: TCP, ...(resolver && { resolver }) });
}
