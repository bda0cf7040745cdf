/** Every bound of the inspector; docs/guides/inspector.md lists them. Durations end in `Ms`, sizes in `Bytes`. */
export interface InspectBounds {
  /** Requests that are kept; the oldest go. */
  readonly maxRequests: number;
  /** Memory for all of them. */
  readonly maxTotalBytes: number;
  /** As much is kept of one body. */
  readonly maxBodyBytes: number;
  /** Messages of one WebSocket that are kept; the older half goes. */
  readonly maxMessages: number;
  /** As much is kept of one message. */
  readonly maxMessageBytes: number;
  /** What a compressed message may become. */
  readonly maxInflatedBytes: number;
  /** More new requests in a second are counted and not recorded. */
  readonly requestsPerSecond: number;
  /** More of bodies in a second is not kept. */
  readonly bodyBytesPerSecond: number;
  /** What a compressed body may become. */
  readonly maxDecodedBytes: number;
  /** A replayed request is broken off after this. */
  readonly replayMs: number;
  /** Pages that are open at a time. */
  readonly maxPages: number;
  /** A page is told of changes no more often than this. */
  readonly pageEveryMs: number;
  /** Rows in one message to a page. */
  readonly maxRows: number;
}

export const INSPECT_BOUNDS: InspectBounds = {
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
