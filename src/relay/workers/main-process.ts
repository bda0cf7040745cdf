import type { Logger } from '../../lib/logger.js';
import { intervalAfterInput, LastHeard } from '../../lib/stalls.js';

/** How often a worker looks whether the main process still pings it. */
const LOOK_MS = 1_000;

export interface MainProcessOptions {
  /** How long it may be silent, in milliseconds. It pings twice in a second. */
  readonly silentMs: number;
  readonly log: Logger;
}

/**
 * Whether the main process of a relay runs, as a worker sees it. It has the directory, and carries the messages between workers.
 * Workers accept all connections, so nobody else notices one that is stopped, or whose event loop is blocked.
 */
export class MainProcess {
  readonly #options: MainProcessOptions;
  readonly #heard = new LastHeard();
  #isSilent = false;

  constructor(options: MainProcessOptions) {
    this.#options = options;
    intervalAfterInput(() => this.#look(), LOOK_MS);
  }

  /** Call when it sent something. */
  heard(): void {
    this.#heard.now();
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#options.log.info({}, 'the main process responds again');
  }

  /** What is wrong with it, as /healthz reports it. */
  problem(): string | undefined {
    return this.#isSilent ? 'the main process does not respond' : undefined;
  }

  #look(): void {
    const { silentMs, log } = this.#options;
    if (this.#isSilent || this.#heard.silentMs < silentMs) return;
    this.#isSilent = true;
    log.error(
      {},
      `the main process did not respond for ${silentMs / 1_000} s: it is stopped, or its event loop is blocked; most new visitors and agents are not served until it does`,
    );
  }
}
