import type { Target } from '../net/target.js';
import type { Decided } from './known-targets.js';
import type { TargetProtocols } from './speaks.js';

/** Timers must not spin where an answer is due at this very moment. */
const LEAST_WAIT_MS = 10;

/**
 * How a lease of mode auto is served, by what its target showed to any lease (`known-targets.ts`); and that the target is
 * asked until it has shown it.
 */
export class Decision {
  readonly #protocols: TargetProtocols;
  readonly #target: () => Target;
  readonly #listeners = new Set<() => void>();
  #now: Decided = 'undecided';
  #timer: NodeJS.Timeout | undefined;
  #isWatching = false;

  /** @param target the target at present, which `protocols` knows of */
  constructor(protocols: TargetProtocols, target: () => Target) {
    this.#protocols = protocols;
    this.#target = target;
  }

  get now(): Decided {
    return this.#now;
  }

  /** The target answered in a protocol other than HTTP, so its visitors' bytes need no second look. */
  get isSurelyStream(): boolean {
    return this.#now === 'stream' && this.#protocols.speaks(this.#target()) === 'other';
  }

  /** Calls `listener` after each change, until the function it returns is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks the target, and again while it is down, until it has answered. */
  watch(): void {
    this.#isWatching = true;
    void this.#look();
  }

  /** Nothing is asked any more, and nothing is decided. */
  stop(): void {
    this.#isWatching = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#now = 'undecided';
  }

  /** Another target: what is known of the one before says nothing about it. */
  reset(): void {
    this.stop();
    this.watch();
  }

  close(): void {
    this.stop();
    this.#listeners.clear();
  }

  /** What is known of the target may be another now. */
  note(): void {
    if (!this.#isWatching) return;
    const target = this.#target();
    const speaks = this.#protocols.speaks(target);
    if (speaks === undefined) this.#lookLater();
    this.#set(this.#protocols.servedAs(target));
  }

  /** Asks the target once more where visitors do not fit what is known of it. Bounded. */
  async doubt(): Promise<void> {
    await this.#protocols.doubt(this.#target());
  }

  /** Resolves once the target has had its chance to answer. Bounded. */
  async settle(): Promise<void> {
    await this.#protocols.learn(this.#target());
  }

  async #look(): Promise<void> {
    await this.settle();
    this.note();
  }

  #lookLater(): void {
    if (this.#timer) return;
    const restMs = this.#protocols.restMs(this.#target());
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (this.#isWatching) void this.#look();
      },
      Math.max(restMs, LEAST_WAIT_MS),
    ).unref();
  }

  #set(next: Decided): void {
    if (this.#now === next) return;
    this.#now = next;
    for (const listener of this.#listeners) listener();
  }
}
