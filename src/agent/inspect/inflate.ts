import { constants, inflateRawSync } from 'node:zlib';
import { systemCode } from '../../lib/errors.js';

/** The window that deflate may refer back to (RFC 7692, section 7.1.2). */
const WINDOW_BYTES = 32 * 1024;
/** Senders omit it from each message (RFC 7692, section 7.2.1). */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/**
 * Inflates the messages of one direction in order (permessage-deflate, RFC 7692). A message that refers to data that is no
 * longer known is undefined, and never wrong, because deflate cannot refer to missing data.
 */
export class Inflater {
  readonly #maxBytes: number;
  readonly #admits: (bytes: number) => boolean;
  #hasStopped = false;
  /** The last bytes of the previous messages. */
  #window: Buffer = Buffer.alloc(0);

  /**
   * @param maxBytes size limit of one inflated message
   * @param admits whether that many more bytes may be inflated now. If not, inflating ends: a sender with a compression
   * factor of a thousand must not keep the agent busy.
   */
  constructor(maxBytes: number, admits: (bytes: number) => boolean) {
    this.#maxBytes = maxBytes;
    this.#admits = admits;
  }

  /** `isWhole`: the message has all of its bytes. */
  take(message: Buffer, isWhole: boolean): Buffer | undefined {
    if (this.#hasStopped) return undefined;
    const dictionary = this.#window;
    this.#window = Buffer.alloc(0);
    try {
      const text = inflateRawSync(isWhole ? Buffer.concat([message, TAIL]) : message, {
        ...(dictionary.length > 0 && { dictionary }),
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: this.#maxBytes,
      });
      this.#hasStopped = !this.#admits(text.length);
      if (isWhole) this.#window = Buffer.concat([dictionary, text]).subarray(-WINDOW_BYTES);
      return text;
    } catch (error) {
      // Inflating an oversized message costs as much as a shown one, so it counts too.
      const isTooLong = systemCode(error) === 'ERR_BUFFER_TOO_LARGE';
      this.#hasStopped = isTooLong && !this.#admits(this.#maxBytes);
      return undefined;
    }
  }
}
