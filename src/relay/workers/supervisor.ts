import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay, within } from '../../lib/wait.js';

/** A worker process, for its supervisor. */
export interface Supervised {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves once it serves. */
  start(): Promise<void>;
  /** Resolves when it responds. */
  ping(): Promise<void>;
  /** Resolves with how it ended, as the end of a sentence. */
  readonly ended: Promise<string>;
  kill(): void;
}

export interface SupervisorOptions<W extends Supervised> {
  readonly count: number;
  /** Timeout of a worker's response. */
  readonly responseMs: number;
  /** Starts a process. */
  readonly fork: () => W;
  /** Called when no worker runs, and none can start. */
  readonly onLost: (error: unknown) => void;
  /** Called when a worker that served has ended. */
  readonly onEnded: (worker: W) => void;
  readonly log: Logger;
  /** Different in tests. */
  readonly timing?: Partial<typeof TIMING>;
}

const TIMING = {
  /** Timeout of a start. A busy machine may need long. */
  startMs: 60_000,
  /** Interval of pings. */
  pingMs: 500,
  /** Pause before the first replacement. Doubles for each that ends early. */
  pauseMs: 100,
  maxPauseMs: 3_000,
  /** A worker that ran this long did not end early. */
  earlyMs: 30_000,
};

/** Keeps a number of workers running. Replaces those that end or do not respond. */
export class Supervisor<W extends Supervised> {
  /** How many ended unexpectedly. */
  restarts = 0;
  readonly #options: SupervisorOptions<W>;
  readonly #timing: typeof TIMING;
  /** Those that serve. */
  readonly #running = new Set<W>();
  readonly #starting = new Set<W>();
  readonly #stop = new AbortController();
  /** How many workers in a row ended early or did not start. */
  #early = 0;

  constructor(options: SupervisorOptions<W>) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
  }

  /** The workers that serve. */
  get running(): readonly W[] {
    return [...this.#running];
  }

  get count(): number {
    return this.#options.count;
  }

  /** Starts all workers. If one cannot start, ends all of them and throws its error. */
  async start(): Promise<void> {
    const errors: unknown[] = [];
    const begin = (): Promise<void> =>
      this.#begin().catch((error: unknown) => {
        errors.push(error);
        this.stop();
      });
    await Promise.all(Array.from({ length: this.#options.count }, begin));
    if (errors.length === 0) return;
    const ended = this.running.map((worker) => worker.ended);
    for (const worker of this.running) worker.kill();
    await Promise.all(ended);
    throw errors[0];
  }

  /** Replaces no more workers. Ends those that are starting. */
  stop(): void {
    this.#stop.abort(new PortalError('aborted', 'the relay stops'));
    for (const worker of this.#starting) worker.kill();
  }

  async #begin(): Promise<void> {
    const { fork } = this.#options;
    const worker = fork();
    const early = worker.ended.then((how) => {
      throw new PortalError('internal', `worker ${worker.name} ${how} while it was starting`);
    });
    early.catch(() => undefined);
    this.#starting.add(worker);
    try {
      const { startMs } = this.#timing;
      const started = within(
        worker.start(),
        startMs,
        `the start of worker ${worker.name}`,
        this.#stop.signal,
      );
      await Promise.race([started, early]);
    } catch (error) {
      worker.kill();
      await worker.ended;
      throw error;
    } finally {
      this.#starting.delete(worker);
    }
    this.#running.add(worker);
    const { name: node, pid } = worker;
    this.#options.log.info({ node, pid }, 'worker started');
    void this.#watch(worker, performance.now());
  }

  /** Until it ends, which takes a replacement. */
  async #watch(worker: W, since: number): Promise<void> {
    const over = new AbortController();
    void this.#pings(worker, over.signal);
    const how = await worker.ended;
    over.abort();
    this.#running.delete(worker);
    this.#options.onEnded(worker);
    if (this.#stop.signal.aborted) return;
    const { log } = this.#options;
    this.restarts++;
    const { name: node, pid } = worker;
    log.error({ node, pid }, `a worker ${how}: its connections are lost, and another one starts`);
    await this.#replace(performance.now() - since);
  }

  async #replace(ranMs: number): Promise<void> {
    const { pauseMs, maxPauseMs, earlyMs } = this.#timing;
    const { signal } = this.#stop;
    this.#early = ranMs < earlyMs ? this.#early + 1 : 0;
    for (;;) {
      const pause = Math.min(maxPauseMs, this.#early === 0 ? 0 : pauseMs * 2 ** (this.#early - 1));
      try {
        await delay(pause, signal);
        return await this.#begin();
      } catch (error) {
        if (signal.aborted) return;
        this.#early++;
        this.#options.log.error({ err: error }, 'a worker cannot start');
        if (this.#running.size === 0 && this.#starting.size === 0) return this.#options.onLost(error);
      }
    }
  }

  /** Until the worker ends: also while it drains, so that it does not delay the end of the relay. */
  async #pings(worker: W, signal: AbortSignal): Promise<void> {
    const { responseMs, log } = this.#options;
    try {
      for (;;) {
        await delay(this.#timing.pingMs, signal);
        await within(worker.ping(), responseMs, `worker ${worker.name}`, signal);
      }
    } catch (error) {
      // A worker that ends rejects its ping, too.
      if (signal.aborted || !(error instanceof PortalError) || error.code !== 'timeout') return;
      const { name: node, pid } = worker;
      log.error(
        { node, pid },
        `a worker did not respond for ${responseMs / 1_000} s: it is stopped, or its event loop is blocked; killing it`,
      );
      worker.kill();
    }
  }
}
