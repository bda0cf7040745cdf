import type { Desired } from '../config/desired.js';
import type { Problem } from '../config/problem.js';
import type { Identity } from '../identity/identity.js';
import type { Logger } from '../lib/logger.js';
import type { AgentStatus, PortalEvent } from './events.js';
import type { Action } from './plan.js';

/** A relay running in this process; started by the CLI, because agent and relay never import each other. */
export interface EmbeddedRelay {
  readonly url: string;
  /** Path of the CA file that its certificate chains to. */
  readonly caFile: string;
  close(): Promise<void>;
}

export interface RunnerOptions {
  /** Absolute path of portal.yaml; null without one. */
  readonly file: string | null;
  readonly identity: Identity;
  /** Folder of the local CA (lib/paths). */
  readonly caDir: string;
  readonly startEmbedded: (port: number) => Promise<EmbeddedRelay>;
  readonly emit: (event: PortalEvent) => void;
  readonly log: Logger;
}

export interface Runner {
  /**
   * Makes `desired` what runs. Resolves when every action has its first outcome (ready, failed, or retrying);
   * calls during a pass fold into the next one.
   */
  apply(desired: Desired): Promise<void>;
  /** Tells of a save that was refused; what runs goes on. */
  reject(problems: readonly Problem[]): void;
  /** What `apply(desired)` would do now. */
  plan(desired: Desired): Action[];
  /** Asks every relay session whether it still answers (bounded), then takes the snapshot. */
  status(): Promise<AgentStatus>;
  /** Stops accepting, drains for at most `drainMs`, unregisters, closes everything. Idempotent. */
  stop(options: { reason: string; drainMs: number }): Promise<void>;
}

export declare function createRunner(options: RunnerOptions): Runner;
