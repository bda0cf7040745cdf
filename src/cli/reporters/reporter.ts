import type { Problem } from '../../config/text/problem.js';
import type { ExpectedLeases } from '../../library/lease-board.js';
import type { PortalEvent } from '../../reconcile/events.js';
import type { Snapshot } from '../live/model.js';

/** An event with its time, ISO 8601. */
export type TimedEvent = PortalEvent & { readonly time: string };

/** A service that will open, and its number of leases. */
export interface Expected extends ExpectedLeases {
  /** Visitors get a certificate of the local CA. */
  readonly isLocalCa?: boolean;
  /** Visitors use `portal connect`. */
  readonly isPrivate?: boolean;
  /** What visitors need to pass a gate. `curl`: the arguments for curl, if it can pass. */
  readonly gate?: { readonly curl?: string };
}

/** Shows what happens while an agent runs. There is one for each output format, and `up` prints only through it. */
export interface Reporter {
  /** The services of the first pass. Called before every event. */
  begin(expected: readonly Expected[]): void;
  event(event: TimedEvent): void;
  /** Errors and warnings of a save, with code frames. A rejected save also causes an event. */
  problems(problems: readonly Problem[], severity?: 'error' | 'warning'): void;
  /** A message for people that no event covers. */
  warning(message: string): void;
  /** The agent is running: the snapshot may be shown from here on. */
  attach?(snapshot: () => Snapshot): void;
  /** Stops drawing progress. Idempotent. */
  close(): Promise<void>;
}

export interface ReporterChanges {
  readonly event: (event: TimedEvent) => TimedEvent;
  /** Default: problems stay as they are. */
  readonly problem?: (problem: Problem) => Problem;
}

/** `reporter`, with other words in what it shows. */
export const rewording = (reporter: Reporter, { event, problem }: ReporterChanges): Reporter => ({
  begin: (expected) => reporter.begin(expected),
  event: (each) => reporter.event(event(each)),
  problems: (problems, severity) => reporter.problems(problem ? problems.map(problem) : problems, severity),
  warning: (message) => reporter.warning(message),
  attach: (snapshot) => reporter.attach?.(snapshot),
  close: () => reporter.close(),
});
