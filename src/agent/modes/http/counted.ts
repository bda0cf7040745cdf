import { VISITOR_GONE, type Ended } from '../../access-log.js';
import type { Exchange } from './exchange.js';

type Counted = Pick<Exchange, 'client' | 'method' | 'target' | 'authority' | 'headers' | 'version'>;

/** Counts the response of an exchange, and tells its client when it begins, and once when it ends in any way. */
export class CountedResponse {
  readonly #exchange: Counted;
  readonly #startedAt = performance.now();
  #status = 0;
  #bytes = 0;
  #isEnded = false;

  constructor(exchange: Counted) {
    this.#exchange = exchange;
  }

  began(status: number): void {
    this.#status = status;
    this.#exchange.client.onResponse?.(status);
  }

  /** Bytes of the body. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
  }

  ended(isComplete = true): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const [status, bytes] = [this.#status, this.#bytes];
    const ended: Ended = {
      status: status === 0 ? VISITOR_GONE : status,
      bytes,
      durationMs: performance.now() - this.#startedAt,
      isCut: !isComplete && status !== 0,
    };
    this.#exchange.client.onEnd?.(this.#exchange, ended);
  }
}
