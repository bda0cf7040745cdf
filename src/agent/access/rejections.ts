/** The gate that rejected a visitor. */
export type RejectionReason = 'ip' | 'identity' | 'rate' | 'pin' | 'basic' | 'oidc' | 'webhook';

/** Interval between two reports of one address. */
const AGAIN_MS = 60_000;
/** How many addresses are remembered. */
const MAX_ADDRESSES = 1_000;

/** Counts rejected visitors and reports them: once per interval and address, because one address may send many. */
export class Rejections {
  readonly #report: (reason: RejectionReason, address: string) => void;
  readonly #counts: Partial<Record<RejectionReason, number>> = {};
  /** The time of each address's last report, oldest first. */
  readonly #reported = new Map<string, number>();

  constructor(report: (reason: RejectionReason, address: string) => void) {
    this.#report = report;
  }

  note(reason: RejectionReason, address: string): void {
    this.#counts[reason] = (this.#counts[reason] ?? 0) + 1;
    const key = `${reason} ${address}`;
    const now = performance.now();
    const last = this.#reported.get(key);
    if (last !== undefined && now - last < AGAIN_MS) return;
    this.#reported.delete(key);
    this.#reported.set(key, now);
    const [oldest] = this.#reported.keys();
    if (this.#reported.size > MAX_ADDRESSES && oldest !== undefined) this.#reported.delete(oldest);
    this.#report(reason, address);
  }

  /** Counts by gate since the lease opened. Undefined without rejections. */
  counts(): Readonly<Partial<Record<RejectionReason, number>>> | undefined {
    return Object.keys(this.#counts).length > 0 ? { ...this.#counts } : undefined;
  }
}
