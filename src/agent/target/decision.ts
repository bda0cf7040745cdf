import type { Target } from '../../net/target/target.js';
import type { Decided } from './known-targets.js';
import type { TargetProtocols } from './target-protocols.js';

/** The shortest timer, so that timers do not spin while a response is overdue. */
const MIN_WAIT_MS = 10;

/**
 * Decides how a lease of mode auto is served, from what its target showed to any lease (`known-targets.ts`). Keeps the target
 * probed until it has shown its protocol.
 */
export class Decision {
  readonly #protocols: TargetProtocols;
  readonly #target: () => Target;
  readonly #listeners = new Set<() => void>();
  #now: Decided = 'undecided';
  #timer: NodeJS.Timeout | undefined;
  #isWatching = false;

  /** @param target returns the current target, which `protocols` tracks */
  constructor(protocols: TargetProtocols, target: () => Target) {
    this.#protocols = protocols;
    this.#target = target;
  }

  get now(): Decided {
    return this.#now;
  }

  /** Whether the target responded in a protocol other than HTTP. Its visitors' protocol is then not checked. */
  get isKnownStream(): boolean {
    return this.#now === 'stream' && this.#protocols.speaks(this.#target()) === 'other';
  }

  /** Calls `listener` after each change. Returns a function that stops that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Probes the target until it has responded, and again while it is down. */
  watch(): void {
    this.#isWatching = true;
    void this.#check();
  }

  /** Stops probing and deciding. */
  stop(): void {
    this.#isWatching = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#now = 'undecided';
  }

  /** Forgets the protocol of the previous target. */
  reset(): void {
    this.stop();
    this.watch();
  }

  close(): void {
    this.stop();
    this.#listeners.clear();
  }

  /** What is known of the target may have changed. */
  note(): void {
    if (!this.#isWatching) return;
    const target = this.#target();
    const speaks = this.#protocols.speaks(target);
    if (speaks === undefined) this.#checkLater();
    this.#set(this.#protocols.servedAs(target));
  }

  /** Probes the target again after visitors did not match its known protocol. Has a timeout. */
  async recheck(): Promise<void> {
    await this.#protocols.recheck(this.#target());
  }

  /** Resolves once the target has had time to respond. Has a timeout. */
  async settle(): Promise<void> {
    await this.#protocols.detect(this.#target());
  }

  async #check(): Promise<void> {
    await this.settle();
    this.note();
  }

  #checkLater(): void {
    if (this.#timer) return;
    const untilProbeMs = this.#protocols.untilProbeMs(this.#target());
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (this.#isWatching) void this.#check();
      },
      Math.max(untilProbeMs, MIN_WAIT_MS),
    ).unref();
  }

  #set(next: Decided): void {
    if (this.#now === next) return;
    this.#now = next;
    for (const listener of this.#listeners) listener();
  }
}
