import { deferred } from '../lib/wait.js';

/**
 * What a runner does:
 *
 *     idle → preparing → choosing → opening → running → preparing → …
 *
 * A pass goes from `preparing` to `running`. Where one fails, the next one begins. `stopping` may follow each, and is the last.
 */
export type RunPhase =
  | 'idle'
  /** Relays, commands and folders of the configuration start. */
  | 'preparing'
  /** Relays are chosen. The pass will use the choice, so a new one needs no other pass. */
  | 'choosing'
  /** Services open, change and close. */
  | 'opening'
  /** The configuration is applied. */
  | 'running'
  | 'stopping';

const BEFORE: Readonly<Record<RunPhase, readonly RunPhase[]>> = {
  idle: [],
  preparing: ['idle', 'preparing', 'choosing', 'opening', 'running'],
  choosing: ['preparing'],
  opening: ['choosing'],
  running: ['opening'],
  stopping: ['idle', 'preparing', 'choosing', 'opening', 'running'],
};

/** The state of a runner, and how often it has applied a configuration. */
export class RunState {
  #now: RunPhase = 'idle';
  #revision = 0;
  #hurried = deferred<void>();

  get now(): RunPhase {
    return this.#now;
  }

  /** Number of applied configurations. */
  get revision(): number {
    return this.#revision;
  }

  get isStopping(): boolean {
    return this.#now === 'stopping';
  }

  /** Whether a configuration is applied, or was before a change that is in progress. */
  get isServing(): boolean {
    return this.#revision > 0 && !this.isStopping;
  }

  /** Goes to the next phase. Returns false, and changes nothing, once the runner stops. */
  enter(next: RunPhase): boolean {
    if (this.isStopping) return false;
    if (!BEFORE[next].includes(this.#now)) throw new Error(`a runner cannot go from ${this.#now} to ${next}`);
    this.#now = next;
    if (next === 'opening') this.#hurried = deferred<void>();
    if (next === 'running') this.#revision++;
    return true;
  }

  /** Lets a pass in `opening` end, whatever it waits for, because the next one cannot wait. */
  hurry(): void {
    this.#hurried.resolve();
  }

  /** Resolves when the current pass should end. */
  get hurried(): Promise<void> {
    return this.#hurried.promise;
  }
}
