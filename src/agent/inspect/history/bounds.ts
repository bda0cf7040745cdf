/** Every bound of the history; docs/guides/inspector.md lists them. Durations end in `Ms`, sizes in `Bytes`. */
export interface HistoryBounds {
  /** Requests are kept this long. */
  readonly maxAgeMs: number;
  /** Disk space for all of one identity; the oldest go. */
  readonly maxBytes: number;
  /** Files they are in: the oldest go, whole. */
  readonly maxFiles: number;
  /** As much is kept of one request with everything that belongs to it; of a WebSocket the latest messages. */
  readonly maxRecordBytes: number;
  /** How often what is over is written. */
  readonly writeEveryMs: number;
  /** Requests that wait to be written; more are dropped, and counted. */
  readonly maxWaiting: number;
  /** The same, by what their bodies take. */
  readonly maxWaitingBytes: number;
  /** After a write that failed, the next try comes so much later. */
  readonly retryMs: number;
  /** Requests of earlier runs that the page gets at a time. */
  readonly maxEarlier: number;
}

export const HISTORY_BOUNDS: HistoryBounds = {
  maxAgeMs: 7 * 86_400_000,
  maxBytes: 256 * 1024 * 1024,
  maxFiles: 1_000,
  maxRecordBytes: 2 * 1024 * 1024,
  writeEveryMs: 250,
  maxWaiting: 2_000,
  maxWaitingBytes: 16 * 1024 * 1024,
  retryMs: 10_000,
  maxEarlier: 1_000,
};

/** A file holds so much of what all may hold, in bytes and in time: what is too old or too much goes file by file. */
export const FILES_AT_A_TIME = 32;
