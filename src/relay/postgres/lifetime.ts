/** How long a node lives without a renewal. */
export interface LifetimeOptions {
  readonly ttlMs: number;
  /**
   * When no other node could use the database either, as far as known. From then they count the time to live of this node again,
   * as after a renewal. Asked when its time ends.
   */
  readonly outageAt?: (() => number | undefined) | undefined;
  /** A monotonic clock that also counts while this process is stopped. */
  readonly now?: () => number;
}

/**
 * Owns whether this node may still serve its leases. Other nodes may take them once its time to live has ended, so this node
 * must stop first. Setting the clock of the machine does not matter.
 */
export class Lifetime {
  readonly #options: LifetimeOptions;
  readonly #now: () => number;
  readonly #listeners: (() => void)[] = [];
  #until: number;
  #timer: NodeJS.Timeout | undefined;
  #state: 'current' | 'expired' | 'closed' = 'current';

  constructor(options: LifetimeOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#until = this.#now() + options.ttlMs;
    this.#arm();
  }

  /**
   * Whether this node may serve. Ask before taking a visitor: a timer of a process that was stopped runs after pending
   * connections are accepted.
   */
  isCurrent(): boolean {
    if (this.#state === 'current' && this.#now() >= this.#until) this.#timeIsUp();
    return this.#state === 'current';
  }

  /** Whether its time ended, or it was expelled. */
  get expired(): boolean {
    return !this.isCurrent() && this.#state === 'expired';
  }

  /** Calls `listener` once, when this node must give up what it has. */
  onExpired(listener: () => void): void {
    if (this.expired) listener();
    else this.#listeners.push(listener);
  }

  /** Call with the time at which a successful renewal was requested. */
  renewed(requestedAt: number): void {
    if (!this.isCurrent()) return;
    this.#until = requestedAt + this.#options.ttlMs;
    this.#arm();
  }

  /** Ends it before its time: other nodes have counted it as lost. */
  expire(): void {
    if (this.#state !== 'current') return;
    this.#state = 'expired';
    clearTimeout(this.#timer);
    for (const listener of this.#listeners.splice(0)) listener();
  }

  /** Ends it without a call of `onExpired`. */
  close(): void {
    if (this.#state === 'current') this.#state = 'closed';
    clearTimeout(this.#timer);
  }

  #timeIsUp(): void {
    const { outageAt, ttlMs } = this.#options;
    const until = (outageAt?.() ?? -Infinity) + ttlMs;
    if (until <= this.#now()) return this.expire();
    this.#until = until;
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.isCurrent(), Math.max(0, this.#until - this.#now()));
  }
}
