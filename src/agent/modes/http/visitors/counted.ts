import { VISITOR_GONE, type Asked } from '../../../access-log.js';

/**
 * Counts the response of an exchange, and tells its client when it begins, and once when it ends in any way. Until then the client
 * counts it as unanswered.
 */
export class CountedResponse {
  readonly #exchange: Asked;
  readonly #startedAt = performance.now();
  #status = 0;
  #bytes = 0;
  #isAnswered = false;
  #isEnded = false;

  /** @param exchange its client is set */
  constructor(exchange: Asked) {
    this.#exchange = exchange;
    exchange.client.unanswered = (exchange.client.unanswered ?? 0) + 1;
  }

  began(status: number): void {
    this.#status = status;
    this.#answered();
    this.#exchange.client.onResponse?.(status);
  }

  /** Bytes of the body. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
  }

  ended(isComplete = true): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#answered();
    const hasBegun = this.#status !== 0;
    this.#exchange.client.onEnd?.(this.#exchange, {
      status: hasBegun ? this.#status : VISITOR_GONE,
      bytes: this.#bytes,
      durationMs: performance.now() - this.#startedAt,
      isCut: !isComplete && hasBegun,
    });
  }

  #answered(): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#exchange.client.unanswered!--;
  }
}
