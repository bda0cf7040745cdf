/** The gate that rejected a visitor. */
export type RefusalReason = 'ip' | 'pin';

/** Interval between two reports of one address. */
const AGAIN_MS = 60_000;
/** Limit of addresses remembered for that. */
const MAX_ADDRESSES = 1_000;

/** Counts rejected visitors and reports them: once per interval and address, because one address may send many. */
export class Refusals {
  readonly #tell: (reason: RefusalReason, address: string) => void;
  readonly #counts: Partial<Record<RefusalReason, number>> = {};
  /** The time of each address's last report, oldest first. */
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

  /** Counts by gate since the lease opened. Undefined without rejections. */
  counts(): Readonly<Partial<Record<RefusalReason, number>>> | undefined {
    return Object.keys(this.#counts).length > 0 ? { ...this.#counts } : undefined;
  }
}
