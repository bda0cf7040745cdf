import type { Http2Session } from 'node:http2';

/**
 * Sessions that nghttp2 has ended by itself, for too many entries in SETTINGS say. It sends GOAWAY and reads no more; node
 * tells nobody, and keeps the connection until it was idle for long; requests to a target wait on it. What nghttp2 says is found by the name node gives
 * it: a node that has another name closes such a connection when it was idle for `keepAliveMs`.
 */

const LOOK_EVERY_MS = 500;

interface Handle {
  /** Whether the session has anything to read or to write still. */
  hasPendingData?(): boolean;
}

const watched = new Map<Http2Session, Handle>();
let timer: NodeJS.Timeout | undefined;

/** Destroys `session` soon after nghttp2 ended it. */
export function endWithNghttp2(session: Http2Session): void {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle');
  const handle = key && (session as unknown as Record<symbol, Handle | undefined>)[key];
  if (typeof handle?.hasPendingData !== 'function') return;
  watched.set(session, handle);
  timer ??= setInterval(look, LOOK_EVERY_MS).unref();
  session.once('close', () => {
    watched.delete(session);
    if (watched.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  });
}

function look(): void {
  for (const [session, handle] of watched)
    if (!session.destroyed && handle.hasPendingData?.() === false) session.destroy();
}
