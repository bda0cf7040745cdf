import type { Conversation, Progress } from './conversation.js';

/** A head that is longer is not understood, which only makes the progress unclear. */
const HEAD_BYTES = 2_048;
/** The last chunk of a body in chunks (RFC 9112, section 7.1), and the end of what comes before it. */
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');
const [CR, LF, ZERO] = LAST_CHUNK;

/**
 * Exchanges of HTTP/1.1. While bytes move it only keeps the beginning and the end of the answer; they are read when somebody
 * asks. What it cannot follow (pipelined requests, long heads) is `unclear`.
 */
export class H1Conversation implements Conversation {
  #visitorSpokeLast = false;
  #isHead = false;
  #isTunnel = false;
  /** Bytes of the answer. */
  #answered = 0;
  /** The beginning of those. */
  #head: Buffer | undefined;
  readonly #tail = Buffer.alloc(LAST_CHUNK.length);

  asked(bytes: Buffer, start: number, end: number): void {
    if (this.#visitorSpokeLast) return;
    this.#visitorSpokeLast = true;
    this.#isHead = begins(bytes, start, end, 'HEAD ');
    if (begins(bytes, start, end, 'CONNECT ')) this.#isTunnel = true;
  }

  answered(bytes: Buffer, start: number, end: number): void {
    if (this.#visitorSpokeLast) {
      this.#visitorSpokeLast = false;
      // Or it goes on with its answer, while the visitor goes on with its request.
      if (begins(bytes, start, end, 'HTTP/1.')) this.#answered = 0;
      if (begins(bytes, start, end, 'HTTP/1.1 101')) this.#isTunnel = true;
    }
    if (this.#answered < HEAD_BYTES) {
      this.#head ??= Buffer.allocUnsafeSlow(HEAD_BYTES);
      bytes.copy(this.#head, this.#answered, start, end);
    }
    this.#answered += end - start;
    this.#keepTail(bytes, start, end);
  }

  get progress(): Progress {
    if (this.#isTunnel) return 'upgraded';
    if (this.#visitorSpokeLast) return 'exchange';
    return this.#answered === 0 ? 'between' : this.#progressOfAnswer();
  }

  #keepTail(bytes: Buffer, start: number, end: number): void {
    const tail = this.#tail;
    const count = end - start;
    const last = bytes[end - 1]!;
    // No part of a last chunk: what came before it does not matter any more.
    if (last !== CR && last !== LF && last !== ZERO) {
      tail[tail.length - 1] = last;
      return;
    }
    if (count < tail.length) tail.copyWithin(0, count);
    bytes.copy(tail, Math.max(0, tail.length - count), Math.max(start, end - tail.length), end);
  }

  #progressOfAnswer(): Progress {
    const kept = Math.min(this.#answered, HEAD_BYTES);
    const text = this.#head!.toString('latin1', 0, kept);
    for (let at = 0; at < text.length;) {
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(text.slice(at))?.[1];
      if (status === undefined) return 'unclear';
      const headEnd = text.indexOf('\r\n\r\n', at);
      if (headEnd < 0) return this.#answered > HEAD_BYTES ? 'unclear' : 'exchange';
      const body = headEnd + 4;
      if (!status.startsWith('1')) return this.#progressOfBody(status, text.slice(at, body), body);
      // An interim answer; the other is still to come.
      at = body;
    }
    return 'exchange';
  }

  #progressOfBody(status: string, head: string, begin: number): Progress {
    const received = this.#answered - begin;
    const length = (): number => Number(/\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1] ?? NaN);
    if (this.#isHead || status === '204' || status === '304') return progressOf(received, 0);
    if (/\r\ncontent-type:[ \t]*text\/event-stream/i.test(head)) return 'endless';
    if (!/\r\ntransfer-encoding:/i.test(head)) return progressOf(received, length());
    // Trailers come after the last chunk.
    if (/\r\ntrailer:/i.test(head)) return 'unclear';
    return this.#tail.equals(LAST_CHUNK) ? 'between' : 'exchange';
  }
}

/** NaN: the body ends with the connection. */
function progressOf(received: number, length: number): Progress {
  if (received > length) return 'unclear';
  return received === length ? 'between' : 'exchange';
}

function begins(bytes: Buffer, start: number, end: number, word: string): boolean {
  if (bytes[start] !== word.charCodeAt(0) || end - start < word.length) return false;
  for (let i = 1; i < word.length; i++) if (bytes[start + i] !== word.charCodeAt(i)) return false;
  return true;
}
