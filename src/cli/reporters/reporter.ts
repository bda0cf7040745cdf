import type { Problem } from '../../config/problem.js';
import type { PortalEvent } from '../../reconcile/events.js';
import type { Snapshot } from '../live/model.js';

/** An event with the moment it happened, ISO 8601. */
export type TimedEvent = PortalEvent & { readonly time: string };

/** A service about to be opened, and how many leases it is to have. */
export interface Expected {
  readonly service: string;
  readonly leases: number;
  /** There may be more of them, on relays that are yet to be chosen. */
  readonly more?: boolean;
}

/** Shows what happens while an agent runs. One per form of output; no other code of `up` prints. */
export interface Reporter {
  /** What the first pass is going to open; comes before every event. */
  begin(expected: readonly Expected[]): void;
  event(event: TimedEvent): void;
  /** What is wrong with a save, or worth a warning, with code frames. A refused save has its event besides. */
  problems(problems: readonly Problem[]): void;
  /** Something a person should know that no event tells. */
  warning(message: string): void;
  /** The agent runs: what it knows may be shown from here on. */
  attach?(snapshot: () => Snapshot): void;
  /** Ends progress that is still shown. Idempotent. */
  close(): Promise<void>;
}
