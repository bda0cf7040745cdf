import type { Headers } from '../exchange/exchange.js';
import { UpstreamError } from './dial.js';
import { ChunkedBody } from './h1-chunks.js';
import { parseFields } from './h1-fields.js';
import type { HttpLimits } from '../limits.js';

/** Receives the parts of a response, in order. */
export interface ResponseSink {
  /** An interim response: 102, 103. */
  onInterim(status: number, headers: Headers): void;
  onHead(head: ResponseHead): void;
  /** Part of the body. Its bytes stay valid. */
  onData(chunk: Buffer): void;
  onEnd(trailers: Headers): void;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
  /** Whether its Content-Length is known. */
  readonly hasLength: boolean;
}

/** The target sent something else than a response of HTTP/1.1 or 1.0. */
export class NotHttp1Error extends UpstreamError {
  /** The beginning of what it sent. */
  readonly rawPacket: Buffer;

  constructor(message: string, rawPacket: Buffer) {
    super(message);
    this.rawPacket = rawPacket;
  }
}

/** More bytes of header fields than the limit. */
export class HeadOverflowError extends UpstreamError {
  /** As node:http names it. */
  readonly code = 'HPE_HEADER_OVERFLOW';
}

const HEAD_END = Buffer.from('\r\n\r\n');
const START = Buffer.from('HTTP/1.');
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n/;
const LENGTH = /^\d+$/;
/** A head has more bytes than its fields: the status line, and four around each field. */
const MAX_STATUS_LINE = 2_048;
const AROUND_FIELD = 4;
const [CR, LF] = [0x0d, 0x0a];

const enum State {
  /** No request is sent, or its response is complete. */
  Idle,
  Head,
  Sized,
  Chunked,
  UntilClose,
}

/**
 * Reads the responses on one connection, strictly: what Node's parser rejects is rejected here, too. After an error, the
 * connection is of no use.
 */
export class ResponseReader {
  readonly #maxHeadBytes: number;
  readonly #maxTrailers: number;
  #state = State.Idle;
  #sink: ResponseSink | undefined;
  #method = '';
  /** The beginning of an incomplete head. */
  #part: Buffer | undefined;
  /** Bytes left of a body of known length. */
  #left = 0;
  #chunks: ChunkedBody | undefined;
  /** Whether the connection may carry another request after this response. */
  isReusable = false;
  /** Milliseconds after which the target closes the connection, from its Keep-Alive field. */
  keepAliveMs: number | undefined;

  constructor({ maxHeadBytes, maxHeaders }: HttpLimits) {
    this.#maxHeadBytes = maxHeadBytes + AROUND_FIELD * maxHeaders + MAX_STATUS_LINE;
    this.#maxTrailers = maxHeadBytes;
  }

  /** The response to a request with `method` follows. */
  expect(method: string, sink: ResponseSink): void {
    this.#method = method;
    this.#sink = sink;
    this.#state = State.Head;
  }

  get isIdle(): boolean {
    return this.#state === State.Idle;
  }

  /** The body lasts until the connection closes (RFC 9112, 6.3). Then `onEnd` is never called. */
  get lastsUntilClose(): boolean {
    return this.#state === State.UntilClose;
  }

  /** Throws UpstreamError if `bytes` are not the expected response, or if more follows the response. */
  read(bytes: Buffer): void {
    const all = this.#part ? Buffer.concat([this.#part, bytes]) : bytes;
    this.#part = undefined;
    for (let at = 0; at < all.length;) at = this.#read(all, at);
  }

  /** Returns where to continue. */
  #read(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case State.Idle:
        throw new UpstreamError('the target sent bytes after its response');
      case State.Head:
        return this.#readHead(bytes, at);
      case State.Sized: {
        const end = Math.min(bytes.length, at + this.#left);
        this.#left -= end - at;
        this.#sink!.onData(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
        if (this.#left === 0) this.#end([]);
        return end;
      }
      case State.Chunked: {
        const end = this.#chunks!.take(bytes, at, (data) => this.#sink!.onData(data));
        if (this.#chunks!.trailers) this.#end(this.#chunks!.trailers);
        return end;
      }
      default:
        // Until the connection closes.
        this.#sink!.onData(at === 0 ? bytes : bytes.subarray(at));
        return bytes.length;
    }
  }

  #readHead(bytes: Buffer, from: number): number {
    let start = from;
    // Some servers end a body with one more line end.
    while (bytes[start] === CR || bytes[start] === LF) start++;
    const compared = Math.min(START.length, bytes.length - start);
    if (bytes.compare(START, 0, compared, start, start + compared) !== 0)
      throw new NotHttp1Error('the target did not respond in HTTP/1.1', bytes.subarray(start));
    const headEnd = bytes.indexOf(HEAD_END, start);
    const end = headEnd < 0 ? bytes.length : headEnd;
    if (end - start > this.#maxHeadBytes) throw new HeadOverflowError('the head is too large');
    if (headEnd < 0) this.#part = bytes.subarray(start);
    else this.#begin(bytes, start, end + 2);
    return headEnd < 0 ? end : end + HEAD_END.length;
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    const head = bytes.toString('latin1', start, end);
    const line = STATUS_LINE.exec(head);
    const headers = line ? parseFields(head, line[0].length) : undefined;
    if (!line || !headers)
      throw new NotHttp1Error('the head of the response is malformed', bytes.subarray(start));
    const [, minor, digits, reason = ''] = line;
    const status = Number(digits);
    if (status === 101) throw new UpstreamError('the target switched protocols without being asked');
    const hasLength = this.#frame(headers, status, minor === '1');
    if (status < 200) {
      // Nobody waits for 100 Continue.
      if (status > 100) this.#sink!.onInterim(status, headers);
      return;
    }
    this.#sink!.onHead({ status, reason, headers, hasLength });
    if (this.#state === State.Sized && this.#left === 0) this.#end([]);
  }

  /**
   * Determines where the body ends (RFC 9112, 6.3), and whether the connection stays open after it. Returns whether the response
   * has a Content-Length.
   */
  #frame(headers: Headers, status: number, is11: boolean): boolean {
    let length: string | undefined;
    let coding: string | undefined;
    let options = '';
    this.keepAliveMs = undefined;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      const value = headers[i + 1]!;
      if (name.length === 10) {
        const lower = name.toLowerCase();
        if (lower === 'connection') options += `${value.toLowerCase()},`;
        else if (lower === 'keep-alive') this.keepAliveMs = timeoutIn(value);
      } else if (name.length === 14 && name.toLowerCase() === 'content-length') {
        if (length !== undefined || !isLength(value)) throw new UpstreamError(BAD_LENGTH);
        length = value;
      } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
        coding = coding === undefined ? value : `${coding}, ${value}`;
      }
    }
    if (coding !== undefined && coding.toLowerCase() !== 'chunked')
      throw new UpstreamError('the response has an unknown transfer coding');
    if (length !== undefined && coding !== undefined) throw new UpstreamError(BAD_LENGTH);
    this.#frameBody(status, length, coding);
    const staysOpen = is11
      ? !/(?:^|[\s,])close[\s,]/.test(options)
      : /(?:^|[\s,])keep-alive[\s,]/.test(options);
    if (status < 200 && !staysOpen) throw new UpstreamError('an interim response closes the connection');
    // Some targets wrongly send a body in response to HEAD, which would be the response to the next request.
    this.isReusable = staysOpen && this.#method !== 'HEAD' && this.#state !== State.UntilClose;
    return length !== undefined;
  }

  #frameBody(status: number, length: string | undefined, coding: string | undefined): void {
    if (status < 200) this.#state = State.Head;
    else if (this.#method === 'HEAD' || status === 204 || status === 304) {
      this.#state = State.Sized;
      this.#left = 0;
    } else if (coding !== undefined) {
      this.#state = State.Chunked;
      this.#chunks = new ChunkedBody(this.#maxTrailers);
    } else if (length === undefined) this.#state = State.UntilClose;
    else {
      this.#state = State.Sized;
      this.#left = Number(length);
    }
  }

  #end(trailers: Headers): void {
    const sink = this.#sink!;
    this.#state = State.Idle;
    this.#sink = undefined;
    this.#chunks = undefined;
    sink.onEnd(trailers);
  }
}

const isLength = (value: string): boolean => LENGTH.test(value) && Number.isSafeInteger(Number(value));

const BAD_LENGTH = 'the length of the response is invalid or ambiguous';

/** The milliseconds in a Keep-Alive field, for example `timeout=5, max=1000`. */
function timeoutIn(value: string): number | undefined {
  const seconds = /(?:^|[\s,])timeout=(\d{1,9})/i.exec(value)?.[1];
  return seconds === undefined ? undefined : 1_000 * Number(seconds);
}
