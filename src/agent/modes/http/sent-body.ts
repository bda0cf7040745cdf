import { systemCode } from '../../../lib/errors.js';
import { isSettings } from '../../h2-words.js';

/** What of a request's body is kept for a second target. */
const MAX_BYTES = 64 * 1024;

/**
 * What the target was sent of a request's body, kept until it answers: once it proves that it did not process the
 * request, all of it can be sent again.
 */
export class SentBody {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #isKept = true;

  /** In order; undefined when it was too much to keep. */
  get chunks(): readonly Buffer[] | undefined {
    return this.#isKept ? this.#chunks : undefined;
  }

  add(chunk: Buffer): void {
    if (!this.#isKept) return;
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_BYTES) this.drop();
    else this.#chunks.push(chunk);
  }

  drop(): void {
    this.#isKept = false;
    this.#chunks.length = 0;
  }
}

/** What node's parser of HTTP/1.1 was given when it failed. */
interface Unparsed extends Error {
  readonly rawPacket?: Buffer;
}

/**
 * Whether a target of HTTP/2 alone failed a request of HTTP/1.1 with `error`, and so did not process it: it began the
 * connection with its settings, and processes nothing without the preface of HTTP/2 (RFC 9113 §3.4); or its TLS refused HTTP/1.1.
 */
export function isFromH2(error: unknown): boolean {
  const { rawPacket, cause } = error as Unparsed;
  return isSettings(rawPacket) || systemCode(cause) === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
}
