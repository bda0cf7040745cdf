import type { ErrorSummary } from '../../agent/status.js';
import type { Problem } from '../../config/text/problem.js';
import type { Expected, TimedEvent } from '../reporters/reporter.js';

/** Messages of a background agent to the process that started it, over Node's IPC channel. */
export type FromAgent =
  | { readonly kind: 'begin'; readonly expected: readonly Expected[] }
  | { readonly kind: 'event'; readonly event: TimedEvent }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }
  | { readonly kind: 'warning'; readonly message: string }
  /** The agent exits with this error; `problems` if its configuration is invalid. */
  | { readonly kind: 'failed'; readonly error: ErrorSummary; readonly problems?: readonly Problem[] };

/** The starter's answer: `keep` running, or `stop`. A channel that closes without an answer means stop. */
export type ToAgent = { readonly kind: 'keep' } | { readonly kind: 'stop' };

/** Marks a process as a background agent. */
export const DETACHED_ENV = 'PORTAL_DETACHED';
