import type { Conversation, Progress } from './conversation.js';
import { H1Exchange } from './h1-exchange.js';
import { HEAD_END, lengthIn } from './h1-head.js';

/** A longer head is not parsed, which only makes the progress unclear. Most heads are shorter than the first buffer. */
const MAX_HEAD_BYTES = 32_768;
const HEAD_BYTES = 2_048;
/** A longer request line is not recognised. */
const LINE_BYTES = 8_192;
/** The last chunk of a chunked body (RFC 9112, section 7.1) and the line end before it. */
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');
/** KMP fallback table: how many bytes of LAST_CHUNK still match after a mismatch at that position. */
const MATCHED_STILL = [0, 0, 0, 0, 1, 2, 1, 2];
const REQUEST_LINE = /^[A-Z]+ [^ \r\n]+ HTTP\/1\.[01]\r\n/;
const STATUS_LINE = 'HTTP/1.';
/** The part of a status line up to the status. */
const STATUS_BYTES = 'HTTP/1.1 200'.length;

/**
 * HTTP/1.1 exchanges. While bytes pass, it keeps only the start and the end of the response. `progress` parses them on
 * demand. Anything that it cannot follow (pipelined requests, long heads) is `unclear`.
 */
export class H1Conversation implements Conversation {
  /** False until the visitor's first line shows HTTP. */
  #isHttp: boolean;
  #visitorSpokeLast = false;
  #isHead = false;
  /** Another protocol: the connection never was HTTP, or was upgraded. */
  #isOther = false;
  #isPipelined = false;
  /** Bytes of the response so far. */
  #responseBytes = 0;
  /** The first of those bytes. */
  #head: Buffer | undefined;
  /** How many bytes of LAST_CHUNK the response ends with. */
  #matched = 0;
  #onComplete: (() => void) | undefined;
  #exchange: H1Exchange | undefined;

  constructor(isHttp: boolean) {
    this.#isHttp = isHttp;
  }

  visitorSent(bytes: Buffer, start: number, end: number): void {
    if (this.#isOther) return;
    if (this.#onComplete) this.#followRequest(bytes, start, end);
    if (this.#visitorSpokeLast) {
      if (begins(bytes, start, end, 'GET ')) this.#isPipelined = true;
      return;
    }
    this.#visitorSpokeLast = true;
    if (!this.#isHttp) {
      const line = bytes.toString('latin1', start, Math.min(end, start + LINE_BYTES));
      this.#isHttp = REQUEST_LINE.test(line);
    }
    if (!this.#isHttp || begins(bytes, start, end, 'CONNECT ')) this.#isOther = true;
    this.#isHead = begins(bytes, start, end, 'HEAD ');
  }

  targetSent(bytes: Buffer, start: number, end: number): void {
    // In HTTP the visitor speaks first.
    if (!this.#isHttp) this.#isOther = true;
    if (this.#isOther) return;
    if (this.#visitorSpokeLast) {
      this.#visitorSpokeLast = false;
      // Without the status line, the response continues while the visitor still sends its request.
      if (begins(bytes, start, end, STATUS_LINE)) this.#responseBytes = 0;
      if (begins(bytes, start, end, 'HTTP/1.1 101')) this.#isOther = true;
    }
    // Visitors may agree on http/1.1 and speak another protocol.
    if (this.#responseBytes === 0 && !mayBegin(bytes, start, end, STATUS_LINE))
      return void (this.#isOther = true);
    this.#keepHead(bytes, start, end);
    this.#responseBytes += end - start;
    this.#matchEnd(bytes, start, end);
    if (this.#exchange) {
      this.#exchange.targetSent(bytes, start, end);
      this.#checkComplete();
    }
  }

  onceExchanged(then: () => void): void {
    this.#onComplete = then;
  }

  closing(bytes: Buffer, start: number, end: number): Buffer | undefined {
    return this.#exchange?.closing(bytes, start, end);
  }

  get progress(): Progress {
    if (this.#isOther || !this.#isHttp) return 'other';
    if (this.#visitorSpokeLast) return 'exchange';
    const progress = this.#responseBytes === 0 ? 'between' : this.#progressOfResponse();
    return progress === 'between' && this.#isPipelined ? 'unclear' : progress;
  }

  /** Keeps the start of the response, up to the end of its head. */
  #keepHead(bytes: Buffer, start: number, end: number): void {
    this.#head ??= Buffer.allocUnsafeSlow(HEAD_BYTES);
    while (this.#responseBytes <= this.#head.length) {
      bytes.copy(this.#head, this.#responseBytes, start, end);
      const { length } = this.#head;
      const isFull = this.#responseBytes + end - start > length;
      if (!isFull || length >= MAX_HEAD_BYTES || this.#head.includes(HEAD_END)) return;
      this.#head = Buffer.concat([this.#head], 2 * length);
    }
  }

  #followRequest(bytes: Buffer, start: number, end: number): void {
    // A long head makes the progress unclear, but the visitor knows that the response has ended.
    if (!this.#visitorSpokeLast && ['between', 'unclear'].includes(this.progress))
      this.#exchange = this.#isPipelined ? undefined : new H1Exchange();
    this.#exchange?.visitorSent(bytes, start, end);
    this.#checkComplete();
  }

  #checkComplete(): void {
    if (this.#exchange?.isComplete) this.#onComplete?.();
  }

  #matchEnd(bytes: Buffer, start: number, end: number): void {
    const from = end - LAST_CHUNK.length;
    let matched = from > start ? 0 : this.#matched;
    for (let at = Math.max(start, from); at < end; at++) {
      while (matched > 0 && bytes[at] !== LAST_CHUNK[matched]) matched = MATCHED_STILL[matched]!;
      if (bytes[at] === LAST_CHUNK[matched]) matched++;
    }
    this.#matched = matched;
  }

  #progressOfResponse(): Progress {
    const { length } = this.#head!;
    const text = this.#head!.toString('latin1', 0, Math.min(this.#responseBytes, length));
    for (let at = 0; at < text.length;) {
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(text.slice(at))?.[1];
      if (status === undefined) return text.length - at < STATUS_BYTES ? 'exchange' : 'unclear';
      const headEnd = text.indexOf(HEAD_END, at);
      if (headEnd < 0) return this.#responseBytes > length ? 'unclear' : 'exchange';
      const body = headEnd + HEAD_END.length;
      if (!status.startsWith('1')) return this.#progressOfBody(status, text.slice(at, body), body);
      // An interim response: the final one follows.
      at = body;
    }
    return 'exchange';
  }

  #progressOfBody(status: string, head: string, begin: number): Progress {
    const received = this.#responseBytes - begin;
    if (this.#isHead || status === '204' || status === '304') return progressOf(received, 0);
    if (/\r\ncontent-type:[ \t]*text\/event-stream/i.test(head)) return 'endless';
    if (!/\r\ntransfer-encoding:/i.test(head)) return progressOf(received, lengthIn(head));
    // Trailers follow the last chunk.
    if (/\r\ntrailer:/i.test(head)) return 'unclear';
    return this.#matched === LAST_CHUNK.length ? 'between' : 'exchange';
  }
}

/** NaN: the body ends with the connection. */
function progressOf(received: number, length: number): Progress {
  if (received > length) return 'unclear';
  return received === length ? 'between' : 'exchange';
}

/** Whether the bytes begin with `word`, or are too few to tell. */
function mayBegin(bytes: Buffer, start: number, end: number, word: string): boolean {
  return begins(bytes, start, end, word.slice(0, end - start));
}

function begins(bytes: Buffer, start: number, end: number, word: string): boolean {
  if (bytes[start] !== word.charCodeAt(0) || end - start < word.length) return false;
  for (let i = 1; i < word.length; i++) if (bytes[start + i] !== word.charCodeAt(i)) return false;
  return true;
}
