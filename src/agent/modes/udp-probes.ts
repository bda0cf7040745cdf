/** Length of a probe's token. */
export const PROBE_BYTES = 32;

/** Recognises the datagrams that the agent sends to itself through the relay, because the target must not get them. */
export class ExpectedProbes {
  readonly #arrived = new Map<string, () => void>();
  /** The latest finished probe. Copies of it may arrive late. */
  #past: string | undefined;

  /**
   * Calls `arrived` when exactly these bytes arrive. They count as a probe also after the returned function was called, until the
   * next probe has finished.
   */
  expect(token: Buffer, arrived: () => void): () => void {
    const key = token.toString('latin1');
    this.#arrived.set(key, arrived);
    return () => {
      if (this.#past !== undefined) this.#arrived.delete(this.#past);
      this.#past = key;
    };
  }

  /** Whether `payload` is a probe. */
  take(payload: Buffer): boolean {
    if (payload.length !== PROBE_BYTES || this.#arrived.size === 0) return false;
    const arrived = this.#arrived.get(payload.toString('latin1'));
    arrived?.();
    return arrived !== undefined;
  }
}
