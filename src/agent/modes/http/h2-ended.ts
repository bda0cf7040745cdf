import type { Http2Session } from 'node:http2';

/**
 * Detects sessions that nghttp2 has ended, for example after too many SETTINGS entries. nghttp2 then sends GOAWAY and stops
 * reading. Node reports nothing and keeps the idle connection, on which requests to a target wait. The state is read from
 * Node internals. A Node version with other internals closes such a connection after `keepAliveMs`.
 */

const CHECK_EVERY_MS = 500;

interface Handle {
  /** Whether the session still has data to read or write. */
  hasPendingData?(): boolean;
}

interface Watched {
  readonly handle: Handle;
  readonly onEnded: (() => void) | undefined;
}

const watched = new Map<Http2Session, Watched>();
let timer: NodeJS.Timeout | undefined;

/** Destroys `session` soon after nghttp2 has ended it. Calls `onEnded` before. */
export function endWithNghttp2(session: Http2Session, onEnded?: () => void): void {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle');
  const handle = key && (session as unknown as Record<symbol, Handle | undefined>)[key];
  if (typeof handle?.hasPendingData !== 'function') return;
  watched.set(session, { handle, onEnded });
  timer ??= setInterval(check, CHECK_EVERY_MS).unref();
  session.once('close', () => {
    watched.delete(session);
    if (watched.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  });
}

function check(): void {
  for (const [session, { handle, onEnded }] of watched) {
    if (session.destroyed || handle.hasPendingData?.() !== false) continue;
    onEnded?.();
    session.destroy();
  }
}
