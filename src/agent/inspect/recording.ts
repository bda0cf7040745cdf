import { withoutToken } from '../access/share/parameter.js';
import type { Headers, RequestHead, RequestOrigin } from '../modes/http/exchange/exchange.js';
import type { MessageLog } from './messages.js';
import type { BodyInfo, Outcome, OwnResponse } from './wire.js';

/** The stored start of one body, copied because its buffers are reused. */
export class CapturedBody {
  /** All bytes, stored or not. */
  bytes = 0;
  keptBytes = 0;
  cut: BodyInfo['cut'];
  #chunks: Uint8Array[] = [];

  /** A body that was stored before. */
  static of(kept: Buffer, bytes: number, cut: BodyInfo['cut']): CapturedBody {
    const body = new CapturedBody();
    body.bytes = bytes;
    body.keptBytes = kept.length;
    body.cut = cut;
    if (kept.length > 0) body.#chunks = [kept];
    return body;
  }

  /** Stores as much of `chunk` as fits in `room`. Returns the number of stored bytes. */
  add(chunk: Buffer, room: number, tryTake: (bytes: number) => boolean): number {
    this.bytes += chunk.length;
    if (this.cut !== undefined) return 0;
    const length = Math.min(chunk.length, room - this.keptBytes);
    if (length > 0 && !tryTake(length)) {
      this.cut = 'load';
      return 0;
    }
    if (length < chunk.length) this.cut = 'long';
    if (length <= 0) return 0;
    // Copied: a small slice of a pool would keep the whole pool alive.
    this.#chunks.push(Uint8Array.prototype.slice.call(chunk, 0, length));
    this.keptBytes += length;
    return length;
  }

  kept(): Buffer {
    const all = Buffer.concat(this.#chunks);
    if (this.#chunks.length > 1) this.#chunks = [all];
    return all;
  }
}

/** One request and its response, unmasked. */
export interface Recording extends Omit<RequestHead, 'headers'>, RequestOrigin {
  readonly id: number;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The same time on the clock that measures durations. */
  readonly startedMs: number;
  readonly requestHeaders: Headers;
  readonly requestBody: CapturedBody;
  requestTrailers: Headers;
  requestMs?: number;
  /** The protocol that the request asks to switch to. */
  readonly upgrade: string | undefined;
  readonly replayOf: number | undefined;
  /** Set if it delivers a held request: the id of that one. */
  readonly deliveryOf?: number | undefined;
  outcome: Outcome;
  status?: number;
  reason?: string;
  responseHeaders: Headers;
  readonly responseBody: CapturedBody;
  responseTrailers: Headers;
  firstByteMs?: number;
  totalMs?: number;
  /** Set if Portal itself responded: the reason. */
  portal?: OwnResponse;
  /** Set if it passed the gates: the fields in which they named the visitor to the target. */
  passedAs?: Headers;
  /** Portal's own page reloaded itself. */
  reload?: true;
  /** For a WebSocket. */
  messages?: MessageLog;
  /** Set for a request from the history. */
  readonly past?: {
    /** Path of the recorded portal.yaml; null without one. */
    readonly source: string | null;
    /** Additional field names to mask, in lower case. */
    readonly mask: ReadonlySet<string>;
  };
}

/** What is known of a request when its recording begins. */
type Begun = Omit<RequestHead, 'headers'> &
  RequestOrigin &
  Pick<Recording, 'requestHeaders' | 'upgrade' | 'replayOf' | 'deliveryOf'>;

/** The recording of a request that arrives now, without its bodies and its response. */
export function beginRecording(id: number, service: string, request: Begun): Recording {
  const { method, target, authority, hostname, remote, version } = request;
  const { requestHeaders, upgrade, replayOf, deliveryOf } = request;
  return {
    id,
    service,
    startedAt: Date.now(),
    startedMs: performance.now(),
    method,
    target: withoutToken(target),
    authority,
    hostname,
    remote,
    version,
    requestHeaders,
    requestBody: new CapturedBody(),
    requestTrailers: [],
    upgrade,
    replayOf,
    deliveryOf,
    outcome: 'open',
    responseHeaders: [],
    responseBody: new CapturedBody(),
    responseTrailers: [],
  };
}

/** The first value of a field; `name` is in lower case. */
export function fieldOf(headers: Headers, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === name.length && headers[i]!.toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}
