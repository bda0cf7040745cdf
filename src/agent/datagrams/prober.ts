import { LIMITS } from '../../protocol/limits.js';

/** Asks over one way, again and again, whether the relay is at its other end. */
export class Prober {
  readonly #ask: () => number;
  readonly #intervalMs: number;
  readonly #retryMs: number;
  readonly #on: { readonly up: () => void; readonly lost: () => void };
  /** Numbers of those that are out; an answer to any of them will do. */
  readonly #out = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #up = false;

  /** `ask` sends a probe and answers its number. */
  constructor(ask: () => number, intervalMs: number, on: { up: () => void; lost: () => void }) {
    this.#ask = ask;
    this.#intervalMs = intervalMs;
    this.#retryMs = Math.min(LIMITS.datagramProbeRetryMs, intervalMs);
    this.#on = on;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Asks now, and from then on. */
  probe(): void {
    clearTimeout(this.#timer);
    if (this.#out.size >= LIMITS.maxUnansweredProbes) {
      this.stop();
      this.#on.lost();
      return;
    }
    this.#out.add(this.#ask());
    this.#timer = setTimeout(() => this.probe(), this.#retryMs).unref();
  }

  answered(sequence: number): void {
    if (!this.#out.has(sequence)) return;
    this.#out.clear();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.probe(), this.#intervalMs).unref();
    if (this.#up) return;
    this.#up = true;
    this.#on.up();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#out.clear();
    this.#up = false;
  }
}
