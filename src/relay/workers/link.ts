import { batched } from '../../lib/batches.js';
import { Caller, type Channel } from '../../lib/calls.js';
import { multiplex } from '../../lib/multiplexer.js';
import { within } from '../../lib/wait.js';
import { serveDirectory } from '../directory/channel.js';
import type { MemoryDirectory } from '../directory/memory.js';
import type { KeyPair } from '../public-port/http-surface.js';
import type { LabelList } from '../names/labels.js';
import type { MetricValues } from '../../metrics/exporter.js';
import type { Switchboard } from '../nodes/switchboard.js';
import { serveStore } from '../store/channel.js';
import type { Store } from '../store/store.js';
import type { PlainList, PlainOptions } from './plain.js';
import type { Supervised } from './supervisor.js';
import { WORKER_CHANNELS, type Serving, type WorkerEvent } from './worker.js';

/** A process that runs `serveMainProcess`. */
export interface WorkerProcess {
  /** No other worker of this relay has had this name. */
  readonly name: string;
  readonly pid: number | undefined;
  readonly channel: Channel;
  /** Resolves with how the process ended, as the end of a sentence. */
  readonly ended: Promise<string>;
  kill(): void;
}

/** What the workers of a relay share. The main process has it. */
export interface Shared {
  readonly directory: MemoryDirectory;
  readonly store: Store;
  readonly switchboard: Switchboard;
  /** How long leases of a worker that ended wait for their agents. */
  readonly graceMs: number;
  readonly options: () => PlainOptions;
  /** Called when a worker has started, before others hear that. */
  readonly onServing: (worker: WorkerLink) => void;
  readonly onEvent: (worker: WorkerLink, event: WorkerEvent) => void;
}

/** A busy worker keeps its last values, so that a client which reads the metrics does not time out. */
const METRICS_MS = 2_000;
/** How long a worker may take to end its drain and its process, beyond the time for visitors. */
const CLOSE_MS = 15_000;

/** A worker, for the main process. */
export class WorkerLink implements Supervised {
  readonly #process: WorkerProcess;
  readonly #shared: Shared;
  readonly #commands: Caller;
  #serving: Serving | undefined;

  constructor(process: WorkerProcess, shared: Shared) {
    const channels = multiplex(batched(process.channel), WORKER_CHANNELS);
    const { name } = process;
    this.#process = process;
    this.#shared = shared;
    this.#commands = new Caller(
      channels.commands,
      (event) => shared.onEvent(this, event as WorkerEvent),
      `worker ${name} of this relay has ended`,
    );
    serveDirectory(shared.directory, { name, graceMs: shared.graceMs }, channels.directory);
    serveStore(shared.store, channels.store);
    shared.switchboard.connect(name, channels.nodes);
  }

  get name(): string {
    return this.#process.name;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get ended(): Promise<string> {
    return this.#process.ended;
  }

  /** Where it serves. Throws before it has started. */
  get serving(): Serving {
    if (!this.#serving) throw new Error(`worker ${this.name} has not started`);
    return this.#serving;
  }

  async start(): Promise<void> {
    this.#serving = (await this.#commands.call('start', this.#shared.options())) as Serving;
    this.#shared.onServing(this);
  }

  async ping(): Promise<void> {
    await this.#commands.call('ping');
  }

  /** Lets a worker that shuts down take the next step. */
  proceed(): void {
    this.#commands.tell('proceed');
  }

  deny(list: PlainList): void {
    this.#commands.tell('deny', list);
  }

  allow(list: PlainList): void {
    this.#commands.tell('allow', list);
  }

  reserveLabels(list: LabelList): void {
    this.#commands.tell('reserveLabels', list);
  }

  serveCertificate({ cert, key }: KeyPair): void {
    this.#commands.tell('serveCertificate', { cert, key });
  }

  async challenge(hostname: string, pair: KeyPair | undefined): Promise<void> {
    await this.#commands.call('challenge', hostname, pair);
  }

  async metrics(): Promise<MetricValues> {
    const values = this.#commands.call('metrics');
    return (await within(values, METRICS_MS, `reading the metrics of worker ${this.name}`)) as MetricValues;
  }

  /** Lets it drain, and ends it. A second call may shorten the drain. */
  async close(drainMs: number): Promise<void> {
    const closed = this.#commands.call('close', drainMs);
    try {
      await within(closed, drainMs + CLOSE_MS, `the shutdown of worker ${this.name}`);
    } catch {
      // It has ended, or does not respond.
    }
    // A worker ends when its channel to the main process closes.
    this.#process.channel.close();
    await within(this.ended, CLOSE_MS, `the end of worker ${this.name}`).catch(() => this.kill());
    await this.ended;
  }

  kill(): void {
    this.#process.kill();
  }
}
