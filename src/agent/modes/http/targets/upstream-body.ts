import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { endedUnannounced } from '../../../../net/tls/close-notify.js';
import type { HttpLimits } from '../limits.js';
import { dialWithCallback, UpstreamError, type Dial } from './dial.js';
import { SilentError } from './failures.js';
import type { Forwarding } from '../forward.js';
import { hasContentLength, requestTrailers, upstreamHeaders, upstreamTarget } from '../request.js';
import { followingH1, lastsUntilClose } from '../response.js';
import { isFromH2, SentBody } from './sent-body.js';

/** A connection that was idle for longer is not reused, because a request with a body cannot be sent twice. */
const REUSE_MS = 1_000;

/**
 * The target closed the connection without a response, or sent something other than HTTP/1.1. Returns true if the request
 * continues elsewhere.
 */
type OnBroken = (forwarding: Forwarding, error: Error) => boolean;

/** Requests with a body, over HTTP/1.1. */
export class BodyRequests {
  readonly #agent: TargetAgent;
  readonly #limits: HttpLimits;
  readonly #onBroken: OnBroken;

  constructor(dial: Dial, limits: HttpLimits, onBroken: OnBroken) {
    this.#onBroken = onBroken;
    this.#agent = new TargetAgent(dial);
    this.#limits = limits;
  }

  send(forwarding: Forwarding): void {
    const { exchange, route } = forwarding;
    const { body } = exchange;
    const headers = upstreamHeaders(exchange, route);
    if (body && !hasContentLength(headers)) headers.push('Transfer-Encoding', 'chunked');
    if (exchange.expectsContinue) headers.push('Expect', '100-continue');
    const request = httpRequest({
      agent: this.#agent,
      method: exchange.method,
      path: upstreamTarget(exchange.target, route),
      headers,
      setHost: false,
      maxHeaderSize: this.#limits.maxHeadBytes,
      insecureHTTPParser: false,
    });
    const sent = new SentBody(forwarding.hold?.maxBodyBytes);
    forwarding.sent = sent;
    request.once('socket', () => sent.connected());
    const onData = (chunk: Buffer): void => {
      sent.add(chunk);
      if (!request.write(chunk)) body?.pause();
    };
    const onEnd = (): void => {
      // The visitor has disconnected, and the request will be cancelled. A last chunk would make it look complete.
      if (!exchange.isBodyWhole) return;
      addTrailers(request, forwarding);
      request.end();
    };
    listen(request, forwarding, this.#limits, (error) => {
      if (!this.#onBroken(forwarding, error)) return false;
      body?.off('data', onData).off('end', onEnd).pause();
      return true;
    });
    forwarding.detachBody = () => void body?.off('data', onData).off('end', onEnd).pause();
    if (!body) return void request.end();
    body.on('data', onData);
    forwarding.watchBody();
    request.on('drain', () => {
      if (!forwarding.isOver) body.resume();
    });
    body.once('end', onEnd);
    // A slow body must not delay its head.
    setImmediate(() => {
      if (!request.destroyed) request.flushHeaders();
    });
  }

  destroy(): void {
    this.#agent.destroy();
  }
}

/** Reports the outcome of a node:http request to `forwarding`. */
export function listen(
  request: ClientRequest,
  forwarding: Forwarding,
  limits: HttpLimits,
  onBroken?: (error: Error) => boolean,
): void {
  let hasResponse = false;
  // Counted from the last request byte that the target accepted.
  let silent = setTimeout(onSilent, limits.responseMs);
  function onSilent(): void {
    forwarding.fail(new SilentError());
    request.destroy();
  }
  // A slow upload never fills a buffer that could drain.
  forwarding.exchange.body?.on('data', () => silent.refresh());
  request.on('drain', () => silent.refresh());
  forwarding.exchange.body?.once('end', () => silent.refresh());
  request.once('close', () => {
    clearTimeout(silent);
    // Also without an error: Node closes a connection that switches protocols without being asked.
    if (!hasResponse) forwarding.fail(new UpstreamError('the connection closed without a response'));
  });
  request.on('continue', () => forwarding.inform(100, []));
  request.on('information', ({ statusCode, rawHeaders }) => {
    if (statusCode > 100) forwarding.inform(statusCode, rawHeaders);
  });
  request.once('response', (response: IncomingMessage) => {
    hasResponse = true;
    forwarding.sent?.drop();
    clearTimeout(silent);
    // From here on only the response counts: the target may close without reading the rest of the request.
    request.off('error', onError);
    let reset: Error | undefined;
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.syscall === 'read') reset = error;
    });
    response.setTimeout(limits.stalledMs, () => response.destroy());
    const { statusCode = 502, statusMessage = '', rawHeaders } = response;
    forwarding.head(statusCode, statusMessage, rawHeaders, followingH1(rawHeaders));
    response.on('data', (chunk: Buffer) => {
      if (forwarding.data(chunk)) return;
      response.pause();
      forwarding.onDrain(() => response.resume());
    });
    response.once('end', () => {
      if (!response.complete) return forwarding.fail(new UpstreamError('the response is incomplete'));
      if (!lastsUntilClose(forwarding.exchange.method, statusCode, rawHeaders)) {
        forwarding.end(response.rawTrailers);
        // Node treats a reset as the end of a response that lasts until the connection closes.
      } else if (reset) forwarding.fail(reset);
      else void forwarding.endWithConnection(!endedUnannounced(response.socket));
      // The response is complete and the request is not: the rest of the request is not needed.
      if (!request.writableFinished) request.destroy();
    });
    response.once('error', (error) => forwarding.fail(error));
    response.once('close', () => {
      if (!response.complete) forwarding.fail(new UpstreamError('the response is incomplete'));
    });
  });
  const onError = (error: Error): void => {
    const wasAsked = request.socket !== null || isFromH2(error);
    if (!forwarding.isOver && wasAsked && onBroken?.(error)) hasResponse = true;
    else forwarding.fail(error);
  };
  request.on('error', onError);
  forwarding.cancelWith(() => request.destroy());
}

function addTrailers(request: ClientRequest, forwarding: Forwarding): void {
  const trailers = requestTrailers(forwarding);
  if (trailers.length === 0) return;
  const pairs: [string, string][] = [];
  for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!]);
  request.addTrailers(pairs);
}

function destroyThis(this: Duplex): void {
  this.destroy();
}

class TargetAgent extends Agent {
  readonly #dial: Dial;

  constructor(dial: Dial) {
    super({ keepAlive: true, timeout: REUSE_MS, scheduling: 'lifo', maxFreeSockets: 64 });
    this.#dial = dial;
  }

  /** A target that ends an idle connection must not get a request on it: that one could not be sent again, nor held. */
  override keepSocketAlive(socket: Duplex): boolean {
    if (socket.readableEnded) return false;
    // The types say void, but Node reads the result.
    const isKept = (super.keepSocketAlive(socket) as unknown) !== false;
    if (isKept) socket.once('end', destroyThis);
    return isKept;
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    socket.off('end', destroyThis);
    super.reuseSocket(socket, request);
  }

  override createConnection(
    _options: object,
    callback?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    dialWithCallback(this.#dial, (error, socket) => callback?.(error, socket as Duplex));
    return undefined;
  }
}
