import { systemCode } from '../../../../lib/errors.js';
import { isSettings } from '../../../target/h2-frames.js';

/** Limit of a request body that is kept for a second attempt. */
const MAX_BYTES = 64 * 1024;

/**
 * The part of a request's body that the target was sent, kept until the target responds. The body is sent again if
 * the target proves that it did not process the request.
 */
export class SentBody {
  readonly #chunks: Buffer[] = [];
  #maxBytes: number;
  #bytes = 0;
  #isKept = true;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** In order. Undefined if the body exceeded the limit. */
  get chunks(): readonly Buffer[] | undefined {
    return this.#isKept ? this.#chunks : undefined;
  }

  add(chunk: Buffer): void {
    if (!this.#isKept) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) this.drop();
    else this.#chunks.push(chunk);
  }

  /** The target has accepted the connection. */
  connected(): void {
    this.#maxBytes = Math.min(this.#maxBytes, MAX_BYTES);
    if (this.#bytes > this.#maxBytes) this.drop();
  }

  drop(): void {
    this.#isKept = false;
    this.#chunks.length = 0;
  }
}

/** The input on which Node's HTTP/1.1 parser failed. */
interface Unparsed extends Error {
  readonly rawPacket?: Buffer;
}

/**
 * Whether `error` shows that an HTTP/2-only target did not process an HTTP/1.1 request. Such a target starts with its
 * SETTINGS and processes nothing without the HTTP/2 preface (RFC 9113 §3.4), or its TLS rejects HTTP/1.1.
 */
export function isFromH2(error: unknown): boolean {
  const { rawPacket, cause } = error as Unparsed;
  return isSettings(rawPacket) || systemCode(cause) === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
}
