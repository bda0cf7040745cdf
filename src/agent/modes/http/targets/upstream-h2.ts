import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2';
import { within } from '../../../../lib/wait.js';
import { http2 } from '../../../../net/http2.js';
import type { Target } from '../../../../net/target/target.js';
import { alpnOf } from '../../../target/upstream.js';
import { lenientSettings, type HttpLimits } from '../limits.js';
import { UpstreamError, type Dial } from './dial.js';
import { SilentError } from './failures.js';
import type { Forwarding } from '../forward.js';
import { asObject } from '../visitors/h2.js';
import { watchStreamEnd } from '../h2-ends.js';
import { endWithNghttp2 } from '../h2-ended.js';
import { isGrpc, requestTrailers, upstreamHeaders, upstreamTarget } from '../request.js';
import { SentBody } from './sent-body.js';

const SETTINGS_MS = 1_500;
const WINDOW_BYTES = 1024 * 1024;

class NotH2Error extends UpstreamError {}

interface Connection {
  readonly session: ClientHttp2Session;
  /** Requests in progress. */
  requests: number;
}

/** Requests over HTTP/2, all on one connection: in plain text with prior knowledge, or over TLS by ALPN. */
export class H2Requests {
  readonly #dial: Dial;
  readonly #isTls: boolean;
  readonly #limits: HttpLimits;
  readonly #onNotH2: (forwarding: Forwarding) => boolean;
  #session: Promise<Connection> | undefined;
  /** Requests that the target refused once. */
  readonly #refused = new WeakSet<Forwarding>();
  #destroyed = false;

  /**
   * @param onNotH2 called if the target does not speak HTTP/2 and got nothing of the request; returns true if the request
   * continues elsewhere
   */
  constructor(target: Target, dial: Dial, limits: HttpLimits, onNotH2: (forwarding: Forwarding) => boolean) {
    this.#onNotH2 = onNotH2;
    this.#dial = dial;
    this.#isTls = target.kind === 'tcp' && target.tls;
    this.#limits = limits;
  }

  send(forwarding: Forwarding): void {
    void this.#send(forwarding);
  }

  destroy(): void {
    this.#destroyed = true;
    this.#session?.then(
      ({ session }) => session.destroy(),
      () => undefined,
    );
  }

  async #send(forwarding: Forwarding): Promise<void> {
    try {
      const connection = await this.#connected();
      if (!forwarding.isOver) this.#request(connection, forwarding);
    } catch (error) {
      if (error instanceof NotH2Error && !forwarding.isOver && this.#onNotH2(forwarding)) return;
      forwarding.fail(error);
    }
  }

  async #connected(): Promise<Connection> {
    const current = this.#session;
    const connection = await (current ?? this.#reconnect());
    const { closed, destroyed } = connection.session;
    // It ended before its events were heard.
    if (!current || !(closed || destroyed)) return connection;
    if (this.#session === current) this.#session = undefined;
    return this.#session ?? this.#reconnect();
  }

  #reconnect(): Promise<Connection> {
    const opening = this.#connect(() => {
      if (this.#session === opening) this.#session = undefined;
    });
    this.#session = opening;
    return opening;
  }

  /** Calls `onUnusable` once the session accepts no more requests, or if it cannot open. */
  async #connect(onUnusable: () => void): Promise<Connection> {
    try {
      const session = await this.#open();
      const connection = { session, requests: 0 };
      session.setTimeout(this.#limits.keepAliveMs);
      session.on('timeout', () => {
        // A stream may be quiet for any time, while others start.
        if (connection.requests > 0) return;
        onUnusable();
        session.close();
      });
      session.once('goaway', onUnusable);
      session.once('close', onUnusable);
      if (this.#destroyed) session.destroy();
      return connection;
    } catch (error) {
      onUnusable();
      throw error;
    }
  }

  async #open(): Promise<ClientHttp2Session> {
    const socket = await this.#dial('h2');
    if (this.#isTls && alpnOf(socket) !== 'h2') {
      socket.destroy();
      throw new NotH2Error('the target did not negotiate h2');
    }
    const { maxHeaderListSize, maxHeaderListPairs } = lenientSettings(this.#limits);
    const session = http2().connect(this.#isTls ? 'https://target' : 'http://target', {
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: WINDOW_BYTES,
        maxHeaderListSize,
      },
      maxHeaderListPairs,
    });
    session.on('error', () => undefined);
    // The socket may be half open, but HTTP/2 has no half-close: responses in progress can no longer end.
    socket.once('end', () => socket.destroy());
    endWithNghttp2(session);
    try {
      await within(
        new Promise<void>((resolve, reject) => {
          session.once('remoteSettings', () => resolve());
          session.once('error', reject);
          session.once('close', () => reject(new UpstreamError('the target closed the HTTP/2 connection')));
        }),
        SETTINGS_MS,
        "the target's HTTP/2 settings",
      );
    } catch (error) {
      session.destroy();
      throw new NotH2Error('the target does not speak HTTP/2', { cause: error });
    }
    session.setLocalWindowSize(4 * WINDOW_BYTES);
    return session;
  }

  #request(connection: Connection, forwarding: Forwarding): void {
    const { session } = connection;
    const { exchange } = forwarding;
    const { body } = exchange;
    const again = forwarding.sent?.chunks ?? [];
    const sent = body && (forwarding.sent ??= new SentBody());
    // `close` would end the body first and make half a request look complete. An abort does not.
    const aborting = body && new AbortController();
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(this.#head(forwarding), {
        endStream: !body,
        waitForTrailers: body !== undefined,
        ...(aborting && { signal: aborting.signal }),
      });
    } catch (error) {
      if (!this.#sendAgain(forwarding)) forwarding.fail(error);
      return;
    }
    const cancel = aborting ? () => aborting.abort() : () => stream.close(http2().constants.NGHTTP2_CANCEL);
    connection.requests++;
    stream.once('close', () => {
      if (--connection.requests === 0 && !session.destroyed) session.setTimeout(this.#limits.keepAliveMs);
    });
    forwarding.cancelWith(cancel);
    receive(stream, forwarding, this.#limits, cancel, () => this.#sendAgain(forwarding));
    if (!body) return;
    // The chunks that an attempt before sent without success.
    for (const chunk of again) stream.write(chunk);
    const onData = (chunk: Buffer): void => {
      sent!.add(chunk);
      if (stream.writable && !stream.write(chunk)) body.pause();
    };
    body.on('data', onData);
    // Both sides of a gRPC call may be silent for a long time.
    if (!isGrpc(exchange.headers)) forwarding.watchBody({ untilResponse: true });
    stream.on('drain', () => {
      if (!forwarding.isOver) body.resume();
    });
    const onEnd = (): void => {
      if (exchange.isBodyWhole) stream.end();
    };
    if (body.readableEnded) onEnd();
    else body.once('end', onEnd);
    forwarding.detachBody = () => void body.off('data', onData).off('end', onEnd).pause();
    body.resume();
    stream.once('wantTrailers', () => {
      try {
        stream.sendTrailers(asObject(requestTrailers(forwarding)));
      } catch (error) {
        // HTTP/2 cannot express these fields. Do not send half a request.
        forwarding.fail(error);
        cancel();
      }
    });
  }

  /**
   * The target did not process the request: it refused the stream, or ended the connection before it (RFC 9113, sections 6.8
   * and 8.7). Sends it again, once. Returns false if that is not possible.
   */
  #sendAgain(forwarding: Forwarding): boolean {
    const { exchange, sent } = forwarding;
    if (forwarding.isOver || exchange.begun || this.#refused.has(forwarding)) return false;
    if (sent && !sent.chunks) return false;
    this.#refused.add(forwarding);
    forwarding.detachBody?.();
    void this.#send(forwarding);
    return true;
  }

  #head({ exchange, route }: Forwarding): OutgoingHttpHeaders {
    const { host, te, trailer, ...fields } = asObject(upstreamHeaders(exchange, route));
    const head: OutgoingHttpHeaders = {
      ...fields,
      ':method': exchange.method,
      ':path': upstreamTarget(exchange.target, route),
      ':scheme': this.#isTls ? 'https' : 'http',
      ':authority': String(host),
    };
    if (te !== undefined) head['te'] = 'trailers';
    if (trailer !== undefined) head['trailer'] = trailer;
    if (exchange.expectsContinue) head['expect'] = '100-continue';
    return head;
  }
}

function receive(
  stream: ClientHttp2Stream,
  forwarding: Forwarding,
  limits: HttpLimits,
  cancel: () => void,
  onRefused: () => boolean,
): void {
  const isWhole = watchStreamEnd(stream);
  let trailers: readonly string[] = [];
  let silent = setTimeout(() => {
    forwarding.fail(new SilentError());
    cancel();
  }, limits.responseMs);
  const onBody = (): void => void silent.refresh();
  forwarding.exchange.body?.on('data', onBody);
  stream.once('close', () => {
    forwarding.exchange.body?.off('data', onBody);
    clearTimeout(silent);
  });
  // The types lack the third argument, the raw fields.
  const on = stream.on.bind(stream) as unknown as (
    event: string,
    take: (headers: IncomingHttpHeaders, flags: number, raw: string[]) => void,
  ) => void;
  on('headers', (headers, _flags, raw) => {
    const status = Number(headers[':status']);
    if (status >= 100 && status < 200) forwarding.inform(status, withoutStatus(raw));
  });
  on('trailers', (_headers, _flags, raw) => (trailers = raw));
  on('response', (headers, flags, raw) => {
    clearTimeout(silent);
    forwarding.sent?.drop();
    stream.setTimeout(limits.stalledMs, cancel);
    const ended = (flags & http2().constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    forwarding.head(Number(headers[':status']), '', withoutStatus(raw), ended ? 'nothing' : 'trailers');
    stream.on('data', (chunk: Buffer) => {
      if (forwarding.data(chunk)) return;
      stream.pause();
      forwarding.onDrain(() => stream.resume());
    });
    stream.once('end', () => {
      if (isWhole()) forwarding.end(trailers);
    });
  });
  let isRefused = false;
  const onFailed = (error: Error): void => {
    isRefused ||= stream.rstCode === http2().constants.NGHTTP2_REFUSED_STREAM && onRefused();
    if (!isRefused) forwarding.fail(error);
  };
  stream.once('error', onFailed);
  stream.once('close', () => onFailed(new UpstreamError(`the stream was reset (${stream.rstCode})`)));
}

function withoutStatus(raw: readonly string[]): readonly string[] {
  return raw[0] === ':status' ? raw.slice(2) : raw;
}
