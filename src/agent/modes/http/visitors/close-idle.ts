import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { activeNow } from '../../../../lib/stalls.js';
import type { Drain } from '../../../../net/splice/splice.js';
import { cut, hasExchange, isResponding } from './cut.js';
import type { Client } from '../exchange/exchange.js';

/** Longest interval between two checks of the connections. */
const MAX_CHECK_MS = 250;
/** Without bytes for this long, no request is on its way on a connection between requests. */
const IDLE_MS = 500;

/** A visitor's connection, with its HTTP/2 session if it has one. */
export interface Connection {
  readonly client: Client;
  readonly session?: ServerHttp2Session;
}

export interface CloseIdleOptions extends Pick<Drain, 'onCut'> {
  /** Connections without bytes for this long are closed. */
  readonly quietMs: number;
  /** Not those with a request or response in progress, since the target may be slow. */
  readonly keepsExchanges?: boolean;
}

/**
 * Ends connections that are idle between requests, and closes those without bytes for `quietMs`, because keep-alive would otherwise
 * delay a drain. Checks until the returned function is called.
 */
export function closeIdle(
  connections: ReadonlyMap<Socket, Connection>,
  { quietMs, onCut, keepsExchanges = false }: CloseIdleOptions,
): () => void {
  const moved = new Map<Socket, { bytes: number; at: number }>();
  const check = (): void => {
    for (const [socket, { client, session }] of connections) {
      // The SpliceSet drains switched connections.
      if (client.isSwitched || (keepsExchanges && hasExchange(socket, client))) continue;
      const bytes = socket.bytesRead + socket.bytesWritten;
      const last = moved.get(socket);
      const quiet = activeNow() - (last?.at ?? Infinity);
      if (last?.bytes !== bytes) moved.set(socket, { bytes, at: activeNow() });
      else if (!session && !client.unanswered && !isResponding(socket)) endIdle(socket, quiet);
      else if (quiet > quietMs) {
        moved.delete(socket);
        onCut?.(1);
        cut(socket);
      }
    }
  };
  const checking = setInterval(check, Math.min(quietMs / 4, MAX_CHECK_MS));
  return () => clearInterval(checking);
}

/** Ends an idle connection: not at once, because the visitor's next request may be on its way. */
function endIdle(socket: Socket, quietMs: number): void {
  if (quietMs > 2 * IDLE_MS) socket.destroy();
  else if (quietMs > IDLE_MS) socket.end();
}
