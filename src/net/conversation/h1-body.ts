import { lengthIn, valuesOf } from './h1-head.js';

/** The body of a message of HTTP/1.1, as its bytes pass (RFC 9112, sections 6 and 7.1). */
export interface Body {
  /** Takes what belongs to it, and returns where that ends. */
  take(bytes: Buffer, start: number, end: number): number;
  readonly isWhole: boolean;
}

/** `bytesWithout`: the length of a body whose head does not say any. Undefined where its end cannot be known. */
export function bodyAfter(head: string, bytesWithout?: number): Body | undefined {
  const codings = valuesOf(head, 'transfer-encoding');
  const lengths = valuesOf(head, 'content-length');
  if (codings.length > 0) {
    const isChunked = codings.length === 1 && /^chunked$/i.test(codings[0]!) && lengths.length === 0;
    return isChunked ? new ChunkedBody() : undefined;
  }
  const length = lengths.length > 0 ? lengthIn(head) : bytesWithout;
  return length === undefined || Number.isNaN(length) ? undefined : new SizedBody(length);
}

export class SizedBody implements Body {
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get isWhole(): boolean {
    return this.#left === 0;
  }

  take(_bytes: Buffer, start: number, end: number): number {
    const taken = Math.min(this.#left, end - start);
    this.#left -= taken;
    return start + taken;
  }
}

const [CR, LF] = [0x0d, 0x0a];
/** Longer lines are not kept whole: a size is at their beginning, and whether a trailer is empty shows there as well. */
const MAX_LINE = 32;

/** Reads the lines between the data and skips that. */
class ChunkedBody implements Body {
  /** Of the data that is passing, with the end of its line. */
  #left = 0;
  /** The beginning of the line that is passing: a chunk's size, or a trailer. */
  #line = '';
  #isTrailer = false;
  isWhole = false;

  take(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.isWhole) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, end - at);
        this.#left -= skipped;
        at += skipped;
        continue;
      }
      const byte = bytes[at++]!;
      if (byte === LF) this.#endLine();
      else if (byte !== CR && this.#line.length < MAX_LINE) this.#line += String.fromCharCode(byte);
    }
    return at;
  }

  #endLine(): void {
    const line = this.#line;
    this.#line = '';
    if (this.#isTrailer) {
      this.isWhole = line === '';
      return;
    }
    // What has no size never ends.
    const digits = /^[\da-f]{1,12}(?![^; \t])/i.exec(line)?.[0];
    const size = digits === undefined ? Infinity : Number.parseInt(digits, 16);
    if (size === 0) this.#isTrailer = true;
    else this.#left = size + 2;
  }
}
