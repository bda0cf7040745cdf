import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { endedUnannounced } from '../../../net/close-notify.js';
import type { HttpBounds } from './bounds.js';
import { dialBack, UpstreamError, type Dial } from './dial.js';
import { SilentError, type Forwarding } from './forward.js';
import { hasContentLength, requestTrailers, upstreamHeaders, upstreamTarget } from './request.js';
import { followingH1, lastsUntilClose } from './response.js';
import { isFromH2, SentBody } from './sent-body.js';

/** A connection is not used again after this: a request with a body cannot be sent twice. */
const REUSE_MS = 1_000;

/** The target ended the connection without an answer, or said what is not HTTP/1.1. True if the request goes on elsewhere. */
type OnBroken = (forwarding: Forwarding, error: Error) => boolean;

/** Requests with a body, over HTTP/1.1. */
export class BodyRequests {
  readonly #agent: TargetAgent;
  readonly #bounds: HttpBounds;
  readonly #onBroken: OnBroken;

  constructor(dial: Dial, bounds: HttpBounds, onBroken: OnBroken) {
    this.#onBroken = onBroken;
    this.#agent = new TargetAgent(dial);
    this.#bounds = bounds;
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
      maxHeaderSize: this.#bounds.maxHeadBytes,
      insecureHTTPParser: false,
    });
    const sent = new SentBody();
    forwarding.sent = sent;
    const onData = (chunk: Buffer): void => {
      sent.add(chunk);
      if (!request.write(chunk)) body?.pause();
    };
    const onEnd = (): void => {
      // The visitor has left, and the request is about to be cancelled: a last chunk would make it a whole one.
      if (!exchange.isBodyWhole) return;
      addTrailers(request, forwarding);
      request.end();
    };
    listen(request, forwarding, this.#bounds, (error) => {
      if (!this.#onBroken(forwarding, error)) return false;
      body?.off('data', onData).off('end', onEnd).pause();
      return true;
    });
    if (!body) return void request.end();
    body.on('data', onData);
    forwarding.watchBody();
    request.on('drain', () => {
      if (!forwarding.over) body.resume();
    });
    body.once('end', onEnd);
    // A body that is slow to come must not hold its head back.
    setImmediate(() => {
      if (!request.destroyed) request.flushHeaders();
    });
  }

  destroy(): void {
    this.#agent.destroy();
  }
}

/** Tells `forwarding` what comes back for a request of node:http. */
export function listen(
  request: ClientRequest,
  forwarding: Forwarding,
  bounds: HttpBounds,
  onBroken?: (error: Error) => boolean,
): void {
  let answered = false;
  // Counted from the last byte that the target took of the request.
  let silent = setTimeout(onSilent, bounds.answerMs);
  function onSilent(): void {
    forwarding.fail(new SilentError());
    request.destroy();
  }
  // What comes slowly never fills a buffer that could drain.
  forwarding.exchange.body?.on('data', () => silent.refresh());
  request.on('drain', () => silent.refresh());
  forwarding.exchange.body?.once('end', () => silent.refresh());
  request.once('close', () => {
    clearTimeout(silent);
    // Without an error, too: node closes one that is answered with a switch of protocols unasked.
    if (!answered) forwarding.fail(new UpstreamError('the connection was closed without an answer'));
  });
  request.on('continue', () => forwarding.inform(100, []));
  request.on('information', ({ statusCode, rawHeaders }) => {
    if (statusCode > 100) forwarding.inform(statusCode, rawHeaders);
  });
  request.once('response', (response: IncomingMessage) => {
    answered = true;
    forwarding.sent?.drop();
    clearTimeout(silent);
    // After it nothing but the answer counts: the target may close what it does not want to read.
    request.off('error', onError);
    let reset: Error | undefined;
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.syscall === 'read') reset = error;
    });
    response.setTimeout(bounds.stalledMs, () => response.destroy());
    const { statusCode = 502, statusMessage = '', rawHeaders } = response;
    forwarding.head(statusCode, statusMessage, rawHeaders, followingH1(rawHeaders));
    response.on('data', (chunk: Buffer) => {
      if (forwarding.data(chunk)) return;
      response.pause();
      forwarding.onDrain(() => response.resume());
    });
    response.once('end', () => {
      if (!response.complete) return forwarding.fail(new UpstreamError('the answer broke off'));
      if (!lastsUntilClose(forwarding.exchange.method, statusCode, rawHeaders)) {
        forwarding.end(response.rawTrailers);
        // Node takes a reset for the end of an answer that lasts until the connection closes.
      } else if (reset) forwarding.fail(reset);
      else void forwarding.endWithConnection(!endedUnannounced(response.socket));
      // The answer is there and the request is not: what is left of it is nobody's.
      if (!request.writableFinished) request.destroy();
    });
    response.once('error', (error) => forwarding.fail(error));
    response.once('close', () => {
      if (!response.complete) forwarding.fail(new UpstreamError('the answer broke off'));
    });
  });
  const onError = (error: Error): void => {
    const wasAsked = request.socket !== null || isFromH2(error);
    if (!forwarding.over && wasAsked && onBroken?.(error)) answered = true;
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

class TargetAgent extends Agent {
  readonly #dial: Dial;

  constructor(dial: Dial) {
    super({ keepAlive: true, timeout: REUSE_MS, scheduling: 'lifo', maxFreeSockets: 64 });
    this.#dial = dial;
  }

  override createConnection(
    _options: object,
    callback?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    dialBack(this.#dial, (error, socket) => callback?.(error, socket as Duplex));
    return undefined;
  }
}
