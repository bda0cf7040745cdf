import { constants, inflateRawSync } from 'node:zlib';
import { systemCode } from '../../lib/errors.js';

/** What deflate may refer back to (RFC 7692, section 7.1.2). */
const WINDOW_BYTES = 32 * 1024;
/** A sender leaves it out of each message (RFC 7692, section 7.2.1). */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/**
 * Takes permessage-deflate off the messages of one direction, which must come in their order (RFC 7692). A message
 * that refers to what is not known here any more is undefined, never wrong: deflate cannot refer to what is not there.
 */
export class Inflater {
  readonly #maxBytes: number;
  readonly #admits: (bytes: number) => boolean;
  #isOver = false;
  /** The end of what was said before. */
  #window: Buffer = Buffer.alloc(0);

  /**
   * @param maxBytes what one message may become
   * @param admits whether so much more may be had now; where not, this ends: whoever sends what becomes a
   *   thousand times as much must not keep the agent busy
   */
  constructor(maxBytes: number, admits: (bytes: number) => boolean) {
    this.#maxBytes = maxBytes;
    this.#admits = admits;
  }

  /** `isWhole`: no byte of the message is missing at its end. */
  take(message: Buffer, isWhole: boolean): Buffer | undefined {
    if (this.#isOver) return undefined;
    const dictionary = this.#window;
    this.#window = Buffer.alloc(0);
    try {
      const text = inflateRawSync(isWhole ? Buffer.concat([message, TAIL]) : message, {
        ...(dictionary.length > 0 && { dictionary }),
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: this.#maxBytes,
      });
      this.#isOver = !this.#admits(text.length);
      if (isWhole) this.#window = Buffer.concat([dictionary, text]).subarray(-WINDOW_BYTES);
      return text;
    } catch (error) {
      // It became too much: that has cost as much as if it were shown.
      const isTooLong = systemCode(error) === 'ERR_BUFFER_TOO_LARGE';
      this.#isOver = isTooLong && !this.#admits(this.#maxBytes);
      return undefined;
    }
  }
}
