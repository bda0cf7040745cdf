import { LIMITS } from '../../protocol/limits.js';

/** Probes periodically whether the relay is at the other end of a path. */
export class Prober {
  readonly #ask: () => number;
  readonly #intervalMs: number;
  readonly #retryMs: number;
  readonly #on: { readonly up: () => void; readonly lost: () => void };
  /** Sequence numbers of probes in flight. A reply to any of them is enough. */
  readonly #out = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #up = false;
  #worked = false;

  /** `ask` sends a probe and returns its number. */
  constructor(ask: () => number, intervalMs: number, on: { up: () => void; lost: () => void }) {
    this.#ask = ask;
    this.#intervalMs = intervalMs;
    this.#retryMs = Math.min(LIMITS.datagramProbeRetryMs, intervalMs);
    this.#on = on;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Whether a probe ever got a reply. */
  get worked(): boolean {
    return this.#worked;
  }

  /** Probes now, and periodically from then on. */
  probe(): void {
    clearTimeout(this.#timer);
    if (this.#out.size >= LIMITS.maxLostProbes) {
      this.stop();
      this.#on.lost();
      return;
    }
    this.#out.add(this.#ask());
    this.#timer = setTimeout(() => this.probe(), this.#retryMs).unref();
  }

  replied(sequence: number): void {
    if (!this.#out.has(sequence)) return;
    this.#out.clear();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.probe(), this.#intervalMs).unref();
    if (this.#up) return;
    this.#up = true;
    this.#worked = true;
    this.#on.up();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#out.clear();
    this.#up = false;
  }
}
