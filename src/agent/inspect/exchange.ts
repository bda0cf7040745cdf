import type { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import {
  valuesOf,
  type Exchange,
  type Follows,
  type Headers,
  type SwitchedStream,
} from '../modes/http/exchange/exchange.js';
import type { RejectionReason } from '../access/rejections.js';
import { ExchangeAround } from '../modes/http/exchange/exchange-around.js';
import { FrameReader, MessageLog } from './messages.js';
import { beginRecording, fieldOf, type CapturedBody, type Recording } from './recording.js';
import type { OwnResponse } from './wire.js';
import { sizeOf, type RequestStore } from './store.js';

export interface Capture {
  readonly service: string;
  /** The request's body must not be stored. */
  readonly withholdBody: boolean;
  readonly replayOf: number | undefined;
  /** The held request that is delivered. */
  readonly deliveryOf: number | undefined;
  /** The header fields of the request as they are recorded. */
  readonly headers: Headers;
}

/**
 * Records an exchange while it happens. It adds no step to the data path: it sees sent bytes as they pass, and received bytes
 * when the consumer reads them.
 */
export function inspected(exchange: Exchange, store: RequestStore, capture: Capture): Exchange {
  return new InspectedExchange(exchange, store, capture);
}

class InspectedExchange extends ExchangeAround {
  readonly #store: RequestStore;
  readonly #recording: Recording;
  /** The gate that judges the request now. */
  #gate: RejectionReason | undefined;

  constructor(
    inner: Exchange,
    store: RequestStore,
    { service, withholdBody, replayOf, deliveryOf, headers }: Capture,
  ) {
    super(inner);
    this.#store = store;
    const { method, target, authority, version, upgrade, client } = inner;
    this.#recording = beginRecording(store.nextId(), service, {
      method,
      target,
      authority,
      version,
      hostname: client.hostname,
      remote: client.address,
      requestHeaders: headers,
      upgrade,
      replayOf,
      deliveryOf,
    });
    if (inner.body && withholdBody) this.#recording.requestBody.cut = 'pin';
    store.add(this.#recording);
    if (inner.body) this.#capture(inner.body);
    // A switched connection ends with its close.
    inner.onDisconnect(() => this.#recording.outcome !== 'switched' && this.#finish('broken'));
  }

  override get recordedAs(): number {
    return this.#recording.id;
  }

  override begin(status: number, reason: string, headers: Headers, follows: Follows): void {
    this.inner.begin(status, reason, headers, follows);
    this.#noteResponse(status, reason, headers);
  }

  override write(chunk: Buffer): boolean {
    this.#keep(this.#recording.responseBody, chunk);
    return this.inner.write(chunk);
  }

  override onAsked(gate: RejectionReason): void {
    this.#gate = gate;
  }

  override onPassed(identity: Headers = []): void {
    this.#gate = undefined;
    this.#recording.passedAs = identity;
  }

  override onOwnResponse(why: OwnResponse): void {
    this.#recording.portal = why;
    if (isReload(this.inner)) this.#recording.reload = true;
  }

  override end(trailers: Headers): void {
    this.inner.end(trailers);
    this.#recording.responseTrailers = trailers;
    this.#finish('done', sizeOf(trailers));
  }

  override abort(): void {
    this.inner.abort();
    this.#finish('broken');
  }

  override switchProtocols(headers: Headers, protocol: string): SwitchedStream | undefined {
    const switched = this.inner.switchProtocols?.(headers, protocol);
    if (!switched) return undefined;
    this.#recording.outcome = 'switched';
    this.#noteResponse(this.isHttp2 ? 200 : 101, this.isHttp2 ? '' : 'Switching Protocols', headers);
    const stream = switched.kind === 'socket' ? switched.socket : switched.stream;
    if (protocol.toLowerCase() === 'websocket') this.#readMessages(stream);
    let isBroken = false;
    stream.once('error', () => (isBroken = true));
    stream.once('close', () => {
      if (this.#recording.outcome === 'switched') this.#finish(isBroken ? 'broken' : 'done');
    });
    return switched;
  }

  /** The visitor's bytes are those written to the target. */
  override onJoined(upstream: Socket): void {
    const { messages, requestBody } = this.#recording;
    if (messages) this.#observe(upstream, new FrameReader('visitor', messages), requestBody);
  }

  #readMessages(visitor: Duplex): void {
    const recording = this.#recording;
    const { limits, admitsBody } = this.#store;
    const log = new MessageLog(limits, admitsBody, (bytes) => this.#store.changed(recording.id, bytes));
    recording.messages = log;
    this.#observe(visitor, new FrameReader('service', log), recording.responseBody);
  }

  /** Sees written bytes as they pass. The code that joins the two sides is not affected. */
  #observe(stream: Duplex, reader: FrameReader, body: CapturedBody): void {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    stream.write = (chunk: unknown, ...rest: unknown[]): boolean => {
      // A recording that was already removed must not grow.
      if (Buffer.isBuffer(chunk) && this.#store.get(this.#recording.id)) {
        body.bytes += chunk.length;
        reader.read(chunk);
        this.#store.changed(this.#recording.id);
      }
      return write(chunk, ...rest);
    };
  }

  #noteResponse(status: number, reason: string, headers: Headers): void {
    const recording = this.#recording;
    recording.status = status;
    recording.reason = reason;
    recording.responseHeaders = headers;
    // A gate also responds to visitors that pass, for example with a redirect.
    if (this.#gate && recording.portal && status >= 400)
      recording.portal = { ...recording.portal, gate: this.#gate };
    recording.firstByteMs = this.#elapsedMs();
    this.#store.changed(recording.id, sizeOf(headers));
  }

  /** A done exchange may turn out broken if its last bytes were never accepted. */
  #finish(outcome: 'done' | 'broken', bytes = 0): void {
    const recording = this.#recording;
    if (recording.outcome === 'broken' || recording.outcome === outcome) return;
    recording.outcome = outcome;
    recording.totalMs = this.#elapsedMs();
    this.#store.changed(recording.id, bytes);
  }

  /** Captures the body once the consumer reads it. A data listener of its own would start the flow earlier. */
  #capture(body: Readable): void {
    const recording = this.#recording;
    const declaredBytes = Number(fieldOf(this.headers, 'content-length'));
    const onListener = (event: string | symbol): void => {
      if (event !== 'data') return;
      body.off('newListener', onListener);
      body.on('data', (chunk: Buffer) => {
        this.#keep(recording.requestBody, chunk);
        // HTTP/2 may end the stream later than this, and the service may have responded by then.
        if (recording.requestBody.bytes === declaredBytes) recording.requestMs = this.#elapsedMs();
      });
      body.once('end', () => {
        if (!this.isBodyWhole) return;
        recording.requestTrailers = this.inner.trailers();
        recording.requestMs ??= this.#elapsedMs();
        this.#store.changed(recording.id, sizeOf(recording.requestTrailers));
      });
    };
    body.on('newListener', onListener);
  }

  #keep(body: CapturedBody, chunk: Buffer): void {
    const { limits, admitsBody } = this.#store;
    this.#store.changed(this.#recording.id, body.add(chunk, limits.maxBodyBytes, admitsBody));
  }

  #elapsedMs(): number {
    return performance.now() - this.#recording.startedMs;
  }
}

/** A page that reloads itself is its own referrer, and Fetch Metadata shows that no user started the request. */
function isReload(exchange: Exchange): boolean {
  const { method, authority, target } = exchange;
  return (
    method === 'GET' &&
    valuesOf(exchange, 'referer') === `https://${authority}${target}` &&
    valuesOf(exchange, 'sec-fetch-mode') === 'navigate' &&
    valuesOf(exchange, 'sec-fetch-user') === ''
  );
}
