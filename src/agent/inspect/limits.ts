/** The limits of the inspector, as listed in docs/guides/inspector.md. Durations end in `Ms`, sizes in `Bytes`. */
export interface InspectLimits {
  /** Requests in memory; the oldest are removed. */
  readonly maxRequests: number;
  /** Memory of all requests. */
  readonly maxTotalBytes: number;
  /** Stored bytes per body. */
  readonly maxBodyBytes: number;
  /** Stored messages per WebSocket; the older half is removed. */
  readonly maxMessages: number;
  /** Stored bytes per message. */
  readonly maxMessageBytes: number;
  /** Size limit of an inflated message. */
  readonly maxInflatedBytes: number;
  /** New requests per second; more are counted but not recorded. */
  readonly requestsPerSecond: number;
  /** Body bytes per second; more are not stored. */
  readonly bodyBytesPerSecond: number;
  /** Size limit of a decoded body. */
  readonly maxDecodedBytes: number;
  /** Timeout of a replayed request. */
  readonly replayMs: number;
  /** Open pages. */
  readonly maxPages: number;
  /** Shortest interval between two updates of a page. */
  readonly pageEveryMs: number;
  /** Rows per message to a page. */
  readonly maxRows: number;
}

export const INSPECT_LIMITS: InspectLimits = {
  maxRequests: 10_000,
  maxTotalBytes: 64 * 1024 * 1024,
  maxBodyBytes: 256 * 1024,
  maxMessages: 1_000,
  maxMessageBytes: 16 * 1024,
  maxInflatedBytes: 256 * 1024,
  requestsPerSecond: 1_000,
  bodyBytesPerSecond: 32 * 1024 * 1024,
  maxDecodedBytes: 4 * 1024 * 1024,
  replayMs: 30_000,
  maxPages: 16,
  pageEveryMs: 100,
  maxRows: 1_000,
};
