/** The limits of the history, as listed in docs/guides/inspector.md. Durations end in `Ms`, sizes in `Bytes`. */
export interface HistoryLimits {
  /** How long requests are kept. */
  readonly maxAgeMs: number;
  /** Disk space of one identity; the oldest requests are removed. */
  readonly maxBytes: number;
  /** Number of files; the oldest are removed. */
  readonly maxFiles: number;
  /** Size of one stored request with everything that belongs to it. Of a WebSocket, the latest messages are stored. */
  readonly maxRecordBytes: number;
  /** Interval between two writes. */
  readonly writeEveryMs: number;
  /** Requests that wait to be written; more are dropped and counted. */
  readonly maxWaiting: number;
  /** The same, by the size of their bodies. */
  readonly maxWaitingBytes: number;
  /** Pause after a failed write. */
  readonly retryMs: number;
  /** Requests of earlier runs that the page gets at once. */
  readonly maxEarlier: number;
}

export const HISTORY_LIMITS: HistoryLimits = {
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

/** A file gets this fraction of the total size and age, because old requests are removed one file at a time. */
export const FILES_AT_A_TIME = 32;
