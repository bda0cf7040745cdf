/** The limits of held requests, as listed in docs/guides/webhooks.md. Durations end in `Ms`, sizes in `Bytes`. */
export interface HoldLimits {
  /** Size of one held body. */
  readonly maxBodyBytes: number;
  /** Held requests of one service. */
  readonly maxOfService: number;
  /** Bodies and header fields of one service. */
  readonly maxServiceBytes: number;
  /** Held requests of an agent. */
  readonly maxRequests: number;
  /** Bodies and header fields of an agent. */
  readonly maxBytes: number;
  /** Pause after a failed delivery. It doubles up to the maximum. */
  readonly minPauseMs: number;
  readonly maxPauseMs: number;
  /** The longest pause while the target accepts no connection. */
  readonly maxDownMs: number;
  /** Timeout of one delivery, with the whole response. */
  readonly deliverMs: number;
}

export const HOLD_LIMITS: HoldLimits = {
  maxBodyBytes: 4 * 1024 * 1024,
  maxOfService: 1_000,
  maxServiceBytes: 64 * 1024 * 1024,
  maxRequests: 10_000,
  maxBytes: 256 * 1024 * 1024,
  minPauseMs: 500,
  maxPauseMs: 30_000,
  maxDownMs: 3_000,
  deliverMs: 120_000,
};
