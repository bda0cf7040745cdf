import type { ErrorSummary } from '../../agent/status.js';
import type { Problem } from '../../config/problem.js';
import type { Expected, TimedEvent } from '../reporters/reporter.js';

/** What an agent in the background tells the process that started it, over Node's IPC channel. */
export type FromAgent =
  | { readonly kind: 'begin'; readonly expected: readonly Expected[] }
  | { readonly kind: 'event'; readonly event: TimedEvent }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }
  | { readonly kind: 'warning'; readonly message: string }
  /** It ends because of this; `problems` when its configuration is invalid. */
  | { readonly kind: 'failed'; readonly error: ErrorSummary; readonly problems?: readonly Problem[] };

/** What the starter answers: stay (the channel then closes), or go. A channel that just closes means go. */
export type ToAgent = { readonly kind: 'keep' } | { readonly kind: 'stop' };

/** Tells the second process that it is one. */
export const DETACHED_ENV = 'PORTAL_DETACHED';
