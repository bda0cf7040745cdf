import type { ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { TokenBucket } from '../../../../lib/token-bucket.js';
import type { HttpLimits } from '../limits.js';

/** What visitors of HTTP/2 may cost: quiet connections, cancelled requests, and frames without a request. */

/** A ping and its acknowledgement, including TLS and HTTP/2 overhead, are smaller than this. */
const PING_BYTES = 256;

/**
 * Detects visitors that have disconnected during a quiet request. While nghttp2 waits to write, it does not read and so does
 * not notice the end of the connection. A write notices it.
 */
export class Liveness {
  readonly #session: ServerHttp2Session;
  readonly #socket: TLSSocket;
  readonly #limits: HttpLimits;
  #isAsked = false;
  #quietMs = 0;
  #moved = 0;

  constructor(session: ServerHttp2Session, socket: TLSSocket, limits: HttpLimits) {
    this.#session = session;
    this.#socket = socket;
    this.#limits = limits;
  }

  /** No data for `pingMs`, except possibly a ping. */
  check(): void {
    const { pingMs, stalledMs } = this.#limits;
    const moved = this.#socket.bytesRead + this.#socket.bytesWritten;
    this.#quietMs = moved - this.#moved > PING_BYTES ? 0 : this.#quietMs + pingMs;
    this.#moved = moved;
    if (this.#isAsked || this.#quietMs > stalledMs) return this.#session.destroy();
    this.#isAsked = true;
    this.#session.ping((error) => (this.#isAsked = error !== null));
    // The timer restarts only when data moves, which may not happen.
    this.#session.setTimeout(pingMs);
  }
}

/**
 * The acknowledgement of a PING or SETTINGS frame, with TLS overhead, is smaller than this. The response to a request
 * is larger.
 */
const ACK_BYTES = 64;

/**
 * Ends a session with many PING or SETTINGS frames and no other responses. gRPC measures bandwidth with a ping after received
 * data: those do not count.
 */
export function endIdleFrames(
  session: ServerHttp2Session,
  socket: TLSSocket,
  limits: HttpLimits,
  end: (why: string) => void,
): void {
  const budget = new TokenBucket(limits.idleFrameBurst, limits.idleFramesPerSecond);
  let written = 0;
  const onFrame = (): void => {
    const isBusy = socket.bytesWritten - written > ACK_BYTES;
    written = socket.bytesWritten;
    if (!isBusy && budget.take() > 0) end('too many PING or SETTINGS frames');
  };
  session.on('ping', onFrame);
  session.on('remoteSettings', onFrame);
}
