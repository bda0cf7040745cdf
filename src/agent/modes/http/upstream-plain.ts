import type { Socket } from 'node:net';
import type { Dispatcher } from 'undici';
// Only the two parts that are used: all of undici takes five times as long to load.
import errors from 'undici/lib/core/errors.js';
import Pool from 'undici/lib/dispatcher/pool.js';
import { systemCode } from '../../../lib/errors.js';
import { endedUnannounced } from '../../../net/close-notify.js';
import type { HttpLimits } from './limits.js';
import { dialWithCallback, type Dial } from './dial.js';
import { SilentError, type Forwarding } from './forward.js';
import { upstreamHeaders, upstreamTarget } from './request.js';
import { followingH1, lastsUntilClose } from './response.js';
import { isFromH2 } from './sent-body.js';

/** Requests without a body, over kept-alive HTTP/1.1 connections, with the low-level API of undici's pool. */
export class PlainRequests {
  readonly #pool: Pool;
  readonly #onNotH1: (forwarding: Forwarding, error: unknown) => void;
  /** How the connection that is ending now ends: undici does not say which connection a response comes from. */
  #isEndAnnounced = true;

  constructor(dial: Dial, limits: HttpLimits, onNotH1: (forwarding: Forwarding, error: unknown) => void) {
    this.#onNotH1 = onNotH1;
    // The name is a placeholder: `connect` goes to the target, and the header fields contain Host.
    this.#pool = new Pool('http://target', {
      connections: limits.maxAtTarget,
      pipelining: 1,
      headersTimeout: limits.responseMs,
      bodyTimeout: limits.stalledMs,
      maxHeaderSize: limits.maxHeadBytes,
      keepAliveMaxTimeout: limits.keepAliveMs,
      connect: (_options, callback) => {
        dialWithCallback(dial, (...dialled) => {
          const [, socket] = dialled;
          if (socket) {
            noteFailure(socket);
            endOnceRead(socket);
          }
          // Undici listens later, and then completes a response without a length.
          socket?.once('end', () => (this.#isEndAnnounced = !endedUnannounced(socket)));
          callback(...dialled);
        });
      },
    });
  }

  send(forwarding: Forwarding): void {
    const { exchange, route } = forwarding;
    const options = {
      path: upstreamTarget(exchange.target, route),
      method: exchange.method,
      headers: upstreamHeaders(exchange, route),
      // Requests are never pipelined, and `connect` handles TLS, so undici need not check either.
      blocking: false,
      servername: 'target',
    };
    this.#dispatch(options, forwarding, true);
  }

  destroy(): void {
    this.#pool.destroy().catch(() => undefined);
  }

  #dispatch(options: Dispatcher.DispatchOptions, forwarding: Forwarding, mayRetry: boolean): void {
    const reply = new Reply(
      forwarding,
      () => this.#isEndAnnounced,
      (error) => {
        if (mayRetry && isIdempotent(options.method) && wasStale(error))
          this.#dispatch(options, forwarding, false);
        else if (isNotH1(error)) this.#onNotH1(forwarding, error);
        else forwarding.fail(systemCode(error) === 'UND_ERR_HEADERS_TIMEOUT' ? new SilentError() : error);
      },
    );
    this.#pool.dispatch(options, reply as unknown as Dispatcher.DispatchHandler);
  }
}

/**
 * Receives one response from undici. This older handler interface passes raw header fields without building an object
 * (`lib/core/request.js` calls these methods).
 */
class Reply {
  readonly #forwarding: Forwarding;
  readonly #onFailed: (error: Error) => void;
  readonly #isEndAnnounced: () => boolean;
  #began = false;
  #untilClose = false;

  constructor(forwarding: Forwarding, isEndAnnounced: () => boolean, onFailed: (error: Error) => void) {
    this.#forwarding = forwarding;
    this.#isEndAnnounced = isEndAnnounced;
    this.#onFailed = onFailed;
  }

  onConnect(abort: () => void): void {
    this.#forwarding.cancelWith(abort);
  }

  onHeaders(status: number, raw: readonly Buffer[], resume: () => void, reason: string): boolean {
    const headers = raw.map(latin1);
    if (status < 200) {
      this.#forwarding.inform(status, headers);
      return true;
    }
    this.#began = true;
    this.#resume = resume;
    const follows = followingH1(headers);
    const { method } = this.#forwarding.exchange;
    this.#untilClose = follows === 'trailers' && lastsUntilClose(method, status, headers);
    this.#forwarding.head(status, reason, headers, follows);
    // This Content-Length describes a body that does not follow, but undici would wait for it (RFC 9110, 8.6).
    if (status === 304 || status === 204) this.#forwarding.end(NONE);
    return true;
  }

  #resume: (() => void) | undefined;

  onData(chunk: Buffer): boolean {
    // Undici passes an empty chunk when it resumes, and must not pause again then: the connection may end next.
    if (chunk.length === 0) return true;
    if (this.#forwarding.data(chunk)) return true;
    this.#forwarding.onDrain(this.#resume!);
    return false;
  }

  onComplete(trailers: readonly Buffer[]): void {
    if (this.#untilClose) return void this.#forwarding.endWithConnection(this.#isEndAnnounced());
    this.#forwarding.end(trailers.length > 0 ? trailers.map(latin1) : NONE);
  }

  onError(error: Error): void {
    if (this.#began) this.#forwarding.fail(error);
    else if (!this.#forwarding.isOver) this.#onFailed(error);
  }
}

const NONE: readonly string[] = [];
const latin1 = (bytes: Buffer): string => bytes.toString('latin1');

/** The response is not HTTP/1.1, or the connection closed without one: typical of an HTTP/2-only server. */
function isNotH1(error: Error): boolean {
  if (isNotHttp1(error) || isFromH2(error)) return true;
  const code = systemCode(error);
  return code === 'UND_ERR_SOCKET' || code === RESET;
}

/** The response is not HTTP/1.1. */
export function isNotHttp1(error: unknown): boolean {
  // Its code is not always set.
  return error instanceof errors.HTTPParserError;
}

/** RFC 9110, section 9.2.2. Other methods may have had an effect before the connection broke. */
export function isIdempotent(method: string): boolean {
  return (
    method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'PUT' || method === 'DELETE'
  );
}

/** The target closed a connection that had carried a response before, just as this request was sent on it. */
function wasStale(error: Error & { stale?: boolean; socket?: { bytesRead?: number } }): boolean {
  const code = systemCode(error);
  if (code === 'UND_ERR_SOCKET') return (error.socket?.bytesRead ?? 0) > 0;
  return (code === RESET || code === 'EPIPE') && error.stale === true;
}

/** A code for resets that undici does not know: it treats ECONNRESET as the end of a response without a length. */
const RESET = 'TARGET_RESET';

/**
 * Emits `end` only once undici has read past the last byte. Node emits it as soon as nothing is left, even if undici is paused
 * because the visitor reads slowly. Undici then fails a complete response, or throws if the response has no length.
 */
function endOnceRead(socket: Socket): void {
  const [push, read] = [socket.push.bind(socket), socket.read.bind(socket)];
  let hasEnded = false;
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    hasEnded ||= chunk === null;
    return push(chunk, encoding);
  };
  socket.read = (size?: number): unknown => {
    if (!hasEnded) return read(size);
    // A read of exactly the remaining bytes does not end the stream.
    if (socket.readableLength > 0) return read(size ?? socket.readableLength);
    if (size !== 0) return read(size);
    // Node's own read: undici reads now, or when it resumes.
    socket.emit('readable');
    return null;
  };
}

/** The system's error does not mention earlier traffic of the connection. */
function noteFailure(socket: Socket): void {
  socket.prependListener('error', (error: NodeJS.ErrnoException & { stale?: boolean }) => {
    error.stale = socket.bytesRead > 0;
    if (error.code === 'ECONNRESET') error.code = RESET;
  });
}
