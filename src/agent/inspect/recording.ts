import type { Headers } from '../modes/http/exchange.js';
import type { MessageLog } from './messages.js';
import type { BodyInfo, Outcome } from './wire.js';

/** What is kept of one body: its beginning, copied, for the buffers it came in are used again. */
export class CapturedBody {
  /** All of it, kept or not. */
  bytes = 0;
  keptBytes = 0;
  cut: BodyInfo['cut'];
  #chunks: Uint8Array[] = [];

  /** One that was kept before. */
  static of(kept: Buffer, bytes: number, cut: BodyInfo['cut']): CapturedBody {
    const body = new CapturedBody();
    body.bytes = bytes;
    body.keptBytes = kept.length;
    body.cut = cut;
    if (kept.length > 0) body.#chunks = [kept];
    return body;
  }

  /** Keeps as much of `chunk` as fits in `room`; answers how many bytes that were. */
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
    // Memory of its own: a small part of a pool would keep all of that.
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

/** One request and its answer, as they came: nothing is masked here. */
export interface Recording {
  readonly id: number;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The same by the clock that durations are measured with. */
  readonly startedMs: number;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** The name that the visitor asked for in the TLS handshake. */
  readonly hostname: string;
  readonly remote: string;
  readonly version: string;
  readonly requestHeaders: Headers;
  readonly requestBody: CapturedBody;
  requestTrailers: Headers;
  requestMs?: number;
  /** It asks to switch protocols. */
  readonly upgrade: string | undefined;
  readonly replayOf: number | undefined;
  outcome: Outcome;
  status?: number;
  reason?: string;
  responseHeaders: Headers;
  readonly responseBody: CapturedBody;
  responseTrailers: Headers;
  firstByteMs?: number;
  totalMs?: number;
  /** Of a WebSocket. */
  messages?: MessageLog;
  /** It is out of the history. */
  readonly past?: {
    /** Path of the portal.yaml it was recorded for; null without one. */
    readonly source: string | null;
    /** Names of fields that were to be masked besides the usual ones, in lower case. */
    readonly mask: ReadonlySet<string>;
  };
}

/** The first value of a field; `name` is in lower case. */
export function fieldOf(headers: Headers, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === name.length && headers[i]!.toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}
