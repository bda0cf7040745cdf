import type { Dial } from './dial.js';
import type { Headers } from '../exchange/exchange.js';
import type { Forwarding } from '../forward.js';
import { NoResponseError, type Asker } from './h1-connection.js';
import { H1Connections } from './h1-connections.js';
import { formatFields } from './h1-fields.js';
import { NotHttp1Error, type ResponseHead } from './h1-response.js';
import type { HttpLimits } from '../limits.js';
import { hasContentLength, upstreamHeaders, upstreamTarget } from '../request.js';
import { isFromH2 } from './sent-body.js';

type OnNotH1 = (forwarding: Forwarding, error: unknown) => void;

/** Requests without a body, over kept-alive HTTP/1.1 connections. */
export class PlainRequests {
  readonly #connections: H1Connections;
  readonly #onNotH1: OnNotH1;

  constructor(dial: Dial, limits: HttpLimits, onNotH1: OnNotH1) {
    this.#connections = new H1Connections(dial, limits);
    this.#onNotH1 = onNotH1;
  }

  send(forwarding: Forwarding): void {
    this.#connections.send(new Reply(forwarding, this.#connections, this.#onNotH1));
  }

  destroy(): void {
    this.#connections.destroy();
  }
}

/** Sends one request, twice if its connection had just closed, and receives the response. */
class Reply implements Asker {
  readonly method: string;
  readonly head: string;
  readonly #forwarding: Forwarding;
  readonly #connections: H1Connections;
  readonly #onNotH1: OnNotH1;
  #mayRetry: boolean;
  #hasBegun = false;

  constructor(forwarding: Forwarding, connections: H1Connections, onNotH1: OnNotH1) {
    this.method = forwarding.exchange.method;
    this.head = headOf(forwarding);
    this.#forwarding = forwarding;
    this.#connections = connections;
    this.#onNotH1 = onNotH1;
    this.#mayRetry = isIdempotent(this.method);
  }

  get isOver(): boolean {
    return this.#forwarding.isOver;
  }

  onSent(cancel: () => void): void {
    this.#forwarding.cancelWith(cancel);
  }

  onInterim(status: number, headers: Headers): void {
    this.#forwarding.inform(status, headers);
  }

  onHead({ status, reason, headers, hasLength }: ResponseHead): void {
    this.#hasBegun = true;
    this.#forwarding.head(status, reason, headers, hasLength ? 'body' : 'trailers');
  }

  onData(chunk: Buffer): boolean {
    return this.#forwarding.data(chunk);
  }

  onDrain(resume: () => void): void {
    this.#forwarding.onDrain(resume);
  }

  onEnd(trailers: Headers): void {
    this.#forwarding.end(trailers);
  }

  onConnectionEnd(isAnnounced: boolean): void {
    void this.#forwarding.endWithConnection(isAnnounced);
  }

  onFailed(error: Error): void {
    if (this.#forwarding.isOver) return;
    if (this.#hasBegun) return this.#forwarding.fail(error);
    if (this.#mayRetry && error instanceof NoResponseError && error.isStale) {
      this.#mayRetry = false;
      this.#connections.send(this);
    } else if (isNotH1(error)) this.#onNotH1(this.#forwarding, error);
    else this.#forwarding.fail(error);
  }
}

/** The head of the request, which contains no field that could become two. */
function headOf({ exchange, route }: Forwarding): string {
  const headers = upstreamHeaders(exchange, route);
  const { method } = exchange;
  const length = EXPECTS_BODY.has(method) && !hasContentLength(headers) ? 'Content-Length: 0\r\n' : '';
  // HTTP/1.0 targets close the connection without the last field.
  return `${method} ${upstreamTarget(exchange.target, route)} HTTP/1.1\r\n${formatFields(headers)}${length}Connection: keep-alive\r\n\r\n`;
}

/** Without a body, these requests have the length 0 (RFC 9110, 8.6). */
const EXPECTS_BODY = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);

/** The response is not HTTP/1.1, or the connection closed without one: typical of an HTTP/2-only server. */
function isNotH1(error: Error): boolean {
  return isNotHttp1(error) || error instanceof NoResponseError || isFromH2(error);
}

/** The response is not HTTP/1.1. */
export function isNotHttp1(error: unknown): boolean {
  return error instanceof NotHttp1Error;
}

/** RFC 9110, section 9.2.2. Other methods may have had an effect before the connection broke. */
export function isIdempotent(method: string): boolean {
  return (
    method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'PUT' || method === 'DELETE'
  );
}
