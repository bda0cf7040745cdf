import type {
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { TokenBucket } from '../../../../lib/token-bucket.js';
import { systemCode } from '../../../../lib/errors.js';
import { http2 } from '../../../../net/http2.js';
import { lenientSettings, isTooLarge, type HttpLimits } from '../limits.js';
import { endWithNghttp2 } from '../h2-ended.js';
import {
  withoutField,
  type Client,
  type Exchange,
  type Follows,
  type Headers,
  type SwitchedStream,
} from '../exchange/exchange.js';
import { CountedResponse } from './counted.js';
import { breakStream, watchStreamEnd } from '../h2-ends.js';
import { endIdleFrames, Liveness } from './h2-cost.js';
import type { Page } from '../../../pages/page.js';
import { PAGES } from '../../../pages/pages.js';
import type { Rejected } from './h1.js';
import { respondWith } from '../exchange/own-response.js';

/** HTTP/2 towards visitors, on Node's core API: nghttp2 checks frames and fields, and Node limits their cost. */

export interface H2Options {
  readonly limits: HttpLimits;
  readonly serve: (exchange: Exchange) => void;
  /** Called when a visitor negotiated HTTP/2 but does not speak it. */
  readonly onNotHttp?: () => void;
  /** Called when a request is rejected before `serve`, or a connection because of its frames. */
  readonly onRejected?: (rejected: Rejected) => void;
}

/** Node's codes for frames that end the connection. */
const FRAME_ERRORS: ReadonlySet<string | undefined> = new Set([
  'ERR_HTTP2_ERROR',
  'ERR_HTTP2_TOO_MANY_INVALID_FRAMES',
]);

/** nghttp2: the input is not the HTTP/2 preface. Node reports the code in `errno` only. */
const BAD_CLIENT_MAGIC = -903;

/** How far one stream may be ahead of its reader. A connection has several streams. */
const MAX_STREAM_WINDOW_BYTES = 1024 * 1024;

export function serveH2(socket: TLSSocket, client: Client, options: H2Options): ServerHttp2Session {
  const { limits } = options;
  const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_FLAG_END_STREAM } = http2().constants;
  const { maxHeaderListSize, maxHeaderListPairs } = lenientSettings(limits);
  const session = http2().performServerHandshake(socket, {
    settings: {
      maxConcurrentStreams: limits.maxStreams,
      maxHeaderListSize,
      initialWindowSize: MAX_STREAM_WINDOW_BYTES,
      enableConnectProtocol: true,
      enablePush: false,
    },
    maxHeaderListPairs,
    maxSessionInvalidFrames: 100,
    maxSessionMemory: 16,
    maxSettings: 32,
    maxOutstandingPings: 10,
  });
  session.setLocalWindowSize(4 * MAX_STREAM_WINDOW_BYTES);
  const resets = new TokenBucket(limits.resetBurst, limits.resetsPerSecond);
  const rejected = (why: string): void => {
    const asked = { method: '?', target: '?', authority: client.hostname, headers: [], version: '2.0' };
    options.onRejected?.({ asked, page: PAGES.badRequest, why });
  };
  const endCalmly = (why: string): void => {
    if (session.destroyed) return;
    rejected(why);
    // Sends GOAWAY. With `undefined` as the error, node would send NO_ERROR.
    session.destroy(null as never, NGHTTP2_ENHANCE_YOUR_CALM);
  };
  endIdleFrames(session, socket, limits, endCalmly);
  let isLeaving = false;
  session.once('goaway', () => (isLeaving = true));
  endWithNghttp2(session, () => {
    if (!session.closed && !isLeaving) rejected('invalid HTTP/2 frames');
  });
  client.streams = 0;
  const liveness = new Liveness(session, socket, limits);
  // Its timer restarts whenever data moves.
  session.setTimeout(limits.keepAliveMs);
  session.on('timeout', () => {
    if (client.streams! > 0) liveness.check();
    else if (session.closed) session.destroy();
    else session.close();
  });
  session.on(
    'stream',
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, raw: string[]) => {
      if (client.streams!++ === 0) session.setTimeout(limits.pingMs);
      stream.on('error', () => undefined);
      // Node would keep a stream that was reset without an error until its input is read, which nobody may do.
      stream.once('aborted', () => stream.destroy());
      stream.once('close', () => {
        if (--client.streams! === 0 && !session.destroyed) session.setTimeout(limits.keepAliveMs);
        // Cancelled before the response, with any code: the rapid-reset attack (CVE-2023-44487).
        const isCancelled = stream.aborted && !exchange.isAborted;
        if (isCancelled && resets.take() > 0) endCalmly('too many cancelled requests');
      });
      const endOfStream = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
      const exchange = new H2Exchange(client, stream, headers, raw, endOfStream, limits.lingerMs);
      const refusal = refusalOf(headers, exchange, limits);
      if (!refusal) return options.serve(exchange);
      respondWith(exchange, refusal);
      const { method, target, authority, headers: given, version } = exchange;
      options.onRejected?.({
        asked: { method, target, authority, headers: given, version },
        page: refusal,
      });
    },
  );
  session.on('error', (error: NodeJS.ErrnoException) => {
    if (error.errno === BAD_CLIENT_MAGIC) options.onNotHttp?.();
    else if (FRAME_ERRORS.has(systemCode(error))) rejected(`invalid HTTP/2 frames (${error.message})`);
  });
  // The socket may be half open, but HTTP/2 has no half-close: a peer that ends one direction has left.
  socket.once('end', () => session.destroy());
  return session;
}

function refusalOf(headers: IncomingHttpHeaders, exchange: H2Exchange, limits: HttpLimits): Page | undefined {
  if (isTooLarge(exchange.headers, exchange.target, limits)) return PAGES.tooLarge;
  const { host, [':authority']: authority, [':protocol']: protocol, [':method']: method } = headers;
  if (method === 'CONNECT' && protocol === undefined) return PAGES.methodNotAllowed;
  // With two names in one request, programs on the path could use different ones.
  if (authority !== undefined && host !== undefined && host !== authority) return PAGES.badRequest;
  const expect = headers.expect?.toLowerCase();
  return expect === undefined || expect === '100-continue' ? undefined : PAGES.expectationFailed;
}

class H2Exchange implements Exchange {
  readonly client: Client;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: Headers;
  readonly body: Readable | undefined;
  readonly expectsContinue: boolean;
  readonly upgrade: string | undefined;
  readonly isHttp2 = true;
  readonly version = '2.0';
  readonly #stream: ServerHttp2Stream;
  readonly #lingerMs: number;
  readonly #isWhole: () => boolean;
  #receivedTrailers: Headers = [];
  #trailers: Headers = [];
  #isEnded = false;
  readonly #counted: CountedResponse;
  begun = false;
  isAborted = false;

  constructor(
    client: Client,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: readonly string[],
    endOfStream: boolean,
    lingerMs: number,
  ) {
    this.client = client;
    this.#stream = stream;
    this.#lingerMs = lingerMs;
    this.upgrade = headers[':protocol'];
    this.method = this.upgrade ? 'GET' : (headers[':method'] ?? '');
    this.target = headers[':path'] ?? '';
    this.authority = headers[':authority'] ?? headers.host ?? '';
    this.headers = withoutPseudo(raw);
    this.expectsContinue = headers.expect !== undefined;
    this.body = endOfStream || this.upgrade ? undefined : stream;
    this.#isWhole = endOfStream ? () => true : watchStreamEnd(stream);
    if (!endOfStream) {
      stream.once('trailers', (_: unknown, _flags: number, received: string[]) => {
        this.#receivedTrailers = received;
      });
    }
    this.#counted = new CountedResponse(this);
  }

  get isBodyWhole(): boolean {
    return this.#isWhole();
  }

  /** The stream accepts no response. */
  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  trailers(): Headers {
    return this.#receivedTrailers;
  }

  inform(status: number, headers: Headers): void {
    if (this.begun || this.#isGone || status === 101) return;
    try {
      this.#stream.additionalHeaders({ ...asObject(headers), ':status': status });
    } catch {
      // An interim response that HTTP/2 cannot express. The final one follows.
    }
  }

  begin(status: number, _reason: string, headers: Headers, follows: Follows): void {
    if (this.#isGone) return;
    const fields = asObject(headers);
    fields[':status'] = status;
    const waitForTrailers = follows === 'trailers';
    this.#stream.respond(fields, { endStream: follows === 'nothing', waitForTrailers });
    this.begun = true;
    this.#counted.began(status);
    if (waitForTrailers) {
      this.#stream.once('wantTrailers', () => {
        try {
          this.#stream.sendTrailers(asObject(this.#trailers));
        } catch {
          this.abort();
        }
      });
    }
  }

  write(chunk: Buffer): boolean {
    this.#counted.wrote(chunk.length);
    return this.#stream.writable ? this.#stream.write(chunk) : true;
  }

  onDrain(resume: () => void): void {
    this.#stream.once('drain', resume);
  }

  end(trailers: Headers): void {
    this.#counted.ended();
    this.#trailers = trailers;
    const stream = this.#stream;
    this.#isEnded = true;
    stream.end();
    if (!this.body || stream.readableEnded || stream.destroyed) return;
    // The visitor still sends. Drop its input for a while, then close the stream without an error.
    stream.resume();
    const timer = setTimeout(() => stream.close(http2().constants.NGHTTP2_NO_ERROR), this.#lingerMs);
    stream.once('close', () => clearTimeout(timer));
  }

  abort(): void {
    this.isAborted = true;
    this.#counted.ended(false);
    breakStream(this.#stream);
  }

  onDisconnect(gone: () => void): void {
    this.#stream.once('close', () => {
      // A stream that closes cleanly may not have reported its last write yet.
      if (this.#isEnded && this.#stream.rstCode === http2().constants.NGHTTP2_NO_ERROR) return;
      this.#counted.ended(false);
      gone();
    });
  }

  switchProtocols(headers: Headers): SwitchedStream | undefined {
    if (this.#isGone) return undefined;
    this.#stream.respond({ ...asObject(withoutField(headers, 'sec-websocket-accept')), ':status': 200 });
    this.begun = true;
    this.#counted.began(200);
    this.#counted.ended();
    return { kind: 'stream', stream: this.#stream };
  }
}

function withoutPseudo(raw: readonly string[]): Headers {
  let at = 0;
  while (at < raw.length && raw[at]!.charCodeAt(0) === 0x3a) at += 2;
  return raw.slice(at);
}

/** The format in which node sends fields. Repeated ones become a list. */
export function asObject(headers: Headers): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = Object.create(null) as OutgoingHttpHeaders;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    const value = headers[i + 1]!;
    const present = fields[name];
    if (present === undefined) fields[name] = value;
    else if (Array.isArray(present)) present.push(value);
    else fields[name] = [String(present), value];
  }
  return fields;
}
