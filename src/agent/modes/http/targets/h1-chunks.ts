import { UpstreamError } from './dial.js';
import { parseFields } from './h1-fields.js';

/** Limit of a chunk's size with its extensions, which nobody uses. */
const MAX_SIZE_LINE = 1_024;
const TOKEN = "[!#$%&'*+.^_`|~0-9a-z-]+";
const EXTENSION = `;${TOKEN}(?:=(?:${TOKEN}|"[\\t\\x20!#-\\x5b\\x5d-\\x7e]*"))?`;
/** Up to 13 hexadecimal digits are exact as a number. */
const SIZE_LINE = new RegExp(`^0*([\\da-f]{1,13})(?:${EXTENSION})*\r\n$`, 'i');
const LF = 0x0a;

const enum Next {
  Size,
  Data,
  DataEnd,
  Trailers,
}

/** Decodes a chunked body (RFC 9112, 7.1), as strictly as Node's parser. */
export class ChunkedBody {
  readonly #maxTrailers: number;
  #next = Next.Size;
  /** Bytes left of the current chunk. */
  #left = 0;
  /** The beginning of an incomplete line. */
  #line = '';
  #trailerLines = '';
  /** The trailers, once the body is complete. */
  trailers: readonly string[] | undefined;

  /** @param maxTrailers bytes of all trailers */
  constructor(maxTrailers: number) {
    this.#maxTrailers = maxTrailers;
  }

  /**
   * Reads from `bytes` at `start`, and passes the data to `onData`. Returns where it stopped: at the end of `bytes` or of the body.
   * Throws UpstreamError if the body is malformed.
   */
  take(bytes: Buffer, start: number, onData: (data: Buffer) => void): number {
    let at = start;
    while (at < bytes.length && !this.trailers) {
      if (this.#next === Next.Data) {
        const end = Math.min(bytes.length, at + this.#left);
        this.#left -= end - at;
        if (this.#left === 0) this.#next = Next.DataEnd;
        onData(bytes.subarray(at, end));
        at = end;
      } else at = this.#takeLine(bytes, at);
    }
    return at;
  }

  #takeLine(bytes: Buffer, start: number): number {
    const lineEnd = bytes.indexOf(LF, start);
    const end = lineEnd < 0 ? bytes.length : lineEnd + 1;
    const max = this.#next === Next.Trailers ? this.#maxTrailers - this.#trailerLines.length : MAX_SIZE_LINE;
    if (this.#line.length + end - start > max)
      throw new UpstreamError('the response has a chunk size or trailers that are too long');
    this.#line += bytes.toString('latin1', start, end);
    if (lineEnd >= 0) {
      this.#endLine(this.#line);
      this.#line = '';
    }
    return end;
  }

  #endLine(line: string): void {
    if (this.#next === Next.Size) {
      const digits = SIZE_LINE.exec(line)?.[1];
      if (digits === undefined) throw new UpstreamError('the response has an invalid chunk size');
      this.#left = Number.parseInt(digits, 16);
      this.#next = this.#left === 0 ? Next.Trailers : Next.Data;
    } else if (this.#next === Next.DataEnd) {
      if (line !== '\r\n') throw new UpstreamError('the response has a chunk of another size');
      this.#next = Next.Size;
    } else if (line === '\r\n') {
      this.trailers = parseFields(this.#trailerLines);
      if (!this.trailers || this.trailers.some(isFraming))
        throw new UpstreamError('the response has invalid trailers');
    } else this.#trailerLines += line;
  }
}

/** Fields about the length have no meaning after it. */
const isFraming = (text: string, i: number): boolean =>
  i % 2 === 0 && /^(?:content-length|transfer-encoding)$/i.test(text);
