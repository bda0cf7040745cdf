import type { Conversation, Progress } from './conversation.js';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAME_HEAD_BYTES = 9;
/** A connection with more streams is no longer followed. */
const MAX_STREAMS = 10_000;

const DATA = 0x0;
const HEADERS = 0x1;
const RST_STREAM = 0x3;
const END_STREAM = 0x1;

type OnFrame = (type: number, flags: number, stream: number) => void;

/** HTTP/2 exchanges: the open streams, by frame header (RFC 9113, section 4.1). */
export class H2Conversation implements Conversation {
  /** Streams whose response has not ended. */
  readonly #open = new Set<number>();
  #highest = 0;
  #isLost = false;
  /** Bytes of the preface so far. */
  #prefaced = 0;
  /** The visitor began without the preface: it agreed on h2 and speaks another protocol. */
  #isOther = false;
  readonly #visitorFrames = new Frames(PREFACE.length, (type, _flags, stream) => {
    if (type === RST_STREAM) this.#open.delete(stream);
    // The trailers of a request belong to a known stream.
    if (type !== HEADERS || stream <= this.#highest) return;
    this.#highest = stream;
    this.#open.add(stream);
    if (this.#open.size > MAX_STREAMS) this.#isLost = true;
  });
  readonly #targetFrames = new Frames(0, (type, flags, stream) => {
    const ends = (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0;
    if (ends || type === RST_STREAM) this.#open.delete(stream);
  });

  visitorSent(bytes: Buffer, start: number, end: number): void {
    if (this.#prefaced < PREFACE.length) this.#checkPreface(bytes, start, end);
    if (this.#isFollowed) this.#visitorFrames.take(bytes, start, end);
  }

  targetSent(bytes: Buffer, start: number, end: number): void {
    if (this.#isFollowed) this.#targetFrames.take(bytes, start, end);
  }

  get progress(): Progress {
    if (this.#isOther) return 'other';
    if (this.#isLost) return 'unclear';
    return this.#open.size > 0 ? 'exchange' : 'between';
  }

  get #isFollowed(): boolean {
    return !this.#isLost && !this.#isOther;
  }

  #checkPreface(bytes: Buffer, start: number, end: number): void {
    const length = Math.min(end - start, PREFACE.length - this.#prefaced);
    const expected = PREFACE.subarray(this.#prefaced, this.#prefaced + length);
    if (!bytes.subarray(start, start + length).equals(expected)) this.#isOther = true;
    this.#prefaced += length;
  }
}

/** The frames of one direction. */
class Frames {
  readonly #onFrame: OnFrame;
  /** Bytes left of the current frame or preface. */
  #left: number;
  readonly #head = Buffer.alloc(FRAME_HEAD_BYTES);
  #headBytes = 0;

  constructor(prefaceBytes: number, onFrame: OnFrame) {
    this.#left = prefaceBytes;
    this.#onFrame = onFrame;
  }

  take(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      if (this.#left > 0) {
        const passed = Math.min(this.#left, end - at);
        this.#left -= passed;
        at += passed;
        continue;
      }
      if (this.#headBytes === 0 && end - at >= FRAME_HEAD_BYTES) {
        this.#begin(bytes, at);
        at += FRAME_HEAD_BYTES;
        continue;
      }
      const count = Math.min(FRAME_HEAD_BYTES - this.#headBytes, end - at);
      bytes.copy(this.#head, this.#headBytes, at, at + count);
      this.#headBytes += count;
      at += count;
      if (this.#headBytes < FRAME_HEAD_BYTES) return;
      this.#headBytes = 0;
      this.#begin(this.#head, 0);
    }
  }

  /** Starts the frame whose header is at `at`. */
  #begin(bytes: Buffer, at: number): void {
    this.#left = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    this.#onFrame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5) & 0x7fffffff);
  }
}
