import { lengthIn, valuesOf } from './h1-head.js';

/** Follows the body of an HTTP/1.1 message as its bytes pass (RFC 9112, sections 6 and 7.1). */
export interface Body {
  /** Consumes the bytes of the body and returns where they end. */
  take(bytes: Buffer, start: number, end: number): number;
  readonly isWhole: boolean;
}

/** `bytesWithout` is the body's length if the head gives none. Returns undefined if the end cannot be determined. */
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
/** Longer lines are truncated: a chunk size, and whether a trailer is empty, show in the first bytes. */
const MAX_LINE = 32;

/** Reads the lines between the chunks and skips the data. */
class ChunkedBody implements Body {
  /** Bytes left of the current chunk, including its line end. */
  #left = 0;
  /** The start of the current line: a chunk size or a trailer. */
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
    // A chunk without a valid size never ends.
    const digits = /^[\da-f]{1,12}(?![^; \t])/i.exec(line)?.[0];
    const size = digits === undefined ? Infinity : Number.parseInt(digits, 16);
    if (size === 0) this.#isTrailer = true;
    else this.#left = size + 2;
  }
}
