/** Which gate a visitor did not pass. */
export type RefusalReason = 'ip' | 'pin';

/** One address is told of again after this. */
const AGAIN_MS = 60_000;
/** Addresses remembered for that. */
const MAX_ADDRESSES = 1_000;

/** Counts who did not get in, and tells of it: once a while for an address, for there may be a flood of one. */
export class Refusals {
  readonly #tell: (reason: RefusalReason, address: string) => void;
  readonly #counts: Partial<Record<RefusalReason, number>> = {};
  /** When each was told of last, the longest ago first. */
  readonly #told = new Map<string, number>();

  constructor(tell: (reason: RefusalReason, address: string) => void) {
    this.#tell = tell;
  }

  note(reason: RefusalReason, address: string): void {
    this.#counts[reason] = (this.#counts[reason] ?? 0) + 1;
    const key = `${reason} ${address}`;
    const now = performance.now();
    const last = this.#told.get(key);
    if (last !== undefined && now - last < AGAIN_MS) return;
    this.#told.delete(key);
    this.#told.set(key, now);
    const [oldest] = this.#told.keys();
    if (this.#told.size > MAX_ADDRESSES && oldest !== undefined) this.#told.delete(oldest);
    this.#tell(reason, address);
  }

  /** Since the lease was opened, by gate; undefined while there were none. */
  counts(): Readonly<Partial<Record<RefusalReason, number>>> | undefined {
    return Object.keys(this.#counts).length > 0 ? { ...this.#counts } : undefined;
  }
}
