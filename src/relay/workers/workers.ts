import { randomBytes } from 'node:crypto';
import { deferred } from '../../lib/wait.js';
import type { DenyList } from '../protection/access-lists.js';
import { MemoryDirectory } from '../directory/memory.js';
import type { KeyPair } from '../public-port/http-surface.js';
import type { LabelList } from '../names/labels.js';
import type { MetricValues } from '../../metrics/exporter.js';
import type { BuildInfo } from '../../metrics/metric.js';
import type { WorkerCounts } from '../metrics/table.js';
import type { MeasuredWorkers } from '../metrics/workers.js';
import { isTaken } from '../public-port/listen.js';
import { Switchboard } from '../nodes/switchboard.js';
import type { Relay, RelayOptions } from '../options.js';
import { Health } from '../parts/health.js';
import { settingsOf, type Settings } from '../parts/settings.js';
import { openStore, type Store } from '../store/store.js';
import { TLS_TICKET_KEY_BYTES } from '../public-port/tls-ticket-keys.js';
import { dividedLimits } from './divided-limits.js';
import { findAddress } from './find-address.js';
import { WorkerLink, type WorkerProcess } from './link.js';
import { plainList, plainOptions, type PlainOptions } from './plain.js';
import { Steps } from './steps.js';
import { Supervisor } from './supervisor.js';
import type { Serving, WorkerEvent } from './worker.js';

/** A relay of several worker processes, for the main process. Each worker is a node of the relay. */

const MAX_ANY_PORT_TRIES = 5;

export interface WorkersOptions extends RelayOptions {
  readonly count: number;
  /** Starts a process that runs `serveMainProcess`. */
  readonly fork: () => WorkerProcess;
  /** Undefined: nobody reads metrics. */
  readonly metrics: BuildInfo | undefined;
}

/** Starts a relay with worker processes; resolves once all of them listen. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const settings = settingsOf(options);
  const store = await openStore(options.store);
  try {
    return await startAtAddress(settings, options, store);
  } catch (error) {
    options.socket?.release();
    await store.close();
    throw error;
  }
}

/** Another process may take a port that was free a moment ago. If any port is allowed, tries another one. */
async function startAtAddress(settings: Settings, options: WorkersOptions, store: Store): Promise<Workers> {
  for (let tries = 1; ; tries++) {
    const address = await findAddress(options);
    const workers = new Workers(settings, options, { ...options, ...address }, store);
    try {
      await workers.start();
      return workers;
    } catch (error) {
      if (options.port !== 0 || !isTaken(error) || tries === MAX_ANY_PORT_TRIES) throw error;
    }
  }
}

type RelayOfWorkers = Omit<Relay, 'counts' | 'stats'>;

export class Workers implements RelayOfWorkers, MeasuredWorkers {
  readonly #settings: Settings;
  readonly #store: Store;
  readonly #supervisor: Supervisor<WorkerLink>;
  readonly #health: Health;
  /** For workers that start later. */
  #options: PlainOptions;
  readonly #challenges = new Map<string, KeyPair>();
  /** Workers that have stopped listening. */
  readonly #released = new Set<WorkerLink>();
  /** Workers that wait for the others, while the relay shuts down. */
  readonly #steps = new Steps<WorkerLink>((worker) => worker.proceed());
  readonly #lost = deferred<never>();
  #serving: Serving | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    settings: Settings,
    { count, fork, metrics }: Pick<WorkersOptions, 'count' | 'fork' | 'metrics'>,
    options: RelayOptions,
    store: Store,
  ) {
    const limits = dividedLimits(settings.limits, count);
    this.#settings = settings;
    this.#store = store;
    this.#health = new Health(options.tls);
    // A data connection resumes the TLS session of another one, at any worker.
    const tlsTicketKeys = randomBytes(TLS_TICKET_KEY_BYTES);
    this.#options = plainOptions({ ...options, limits, tlsTicketKeys }, metrics);
    const shared = {
      directory: new MemoryDirectory(),
      store,
      switchboard: new Switchboard(),
      graceMs: limits.graceMs,
      options: () => this.#options,
      onServing: (worker: WorkerLink) => this.#onServing(worker),
      onEvent: (worker: WorkerLink, event: WorkerEvent) => this.#onEvent(worker, event),
    };
    this.#supervisor = new Supervisor({
      count,
      responseMs: limits.workerResponseMs,
      fork: () => new WorkerLink(fork(), shared),
      onLost: (error) => this.#lost.reject(error),
      // The others may have waited for it.
      onEnded: () => {
        this.#releaseSocket();
        this.#steps.check(this.#supervisor.running);
      },
      log: settings.log,
    });
    this.#lost.promise.catch(() => undefined);
    if (options.challenges) options.challenges.share = (hostname, pair) => this.#share(hostname, pair);
  }

  start(): Promise<void> {
    return this.#supervisor.start();
  }

  /** Rejects when no worker runs and none can start. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  get url(): string {
    return this.#place.url;
  }

  get domain(): string {
    return this.#place.domain;
  }

  get port(): number {
    return this.#place.port;
  }

  get publicPort(): number {
    return this.#place.publicPort;
  }

  get addresses(): Serving['addresses'] {
    return this.#place.addresses;
  }

  get httpRedirect(): Serving['httpRedirect'] {
    return this.#place.httpRedirect;
  }

  get address(): string {
    return this.#place.address;
  }

  get descriptor(): Serving['descriptor'] {
    return this.#place.descriptor;
  }

  problem(): string | undefined {
    const isNone = this.#supervisor.running.length === 0 && !this.#closing;
    return isNone ? 'no worker is running' : this.#health.problem();
  }

  /** Workers share nothing with other machines. */
  degraded(): undefined {
    return undefined;
  }

  deny(list: DenyList): void {
    const deny = plainList(list);
    this.#options = { ...this.#options, deny };
    for (const worker of this.#supervisor.running) worker.deny(deny);
  }

  allow(list: DenyList): void {
    const allow = plainList(list);
    this.#options = { ...this.#options, allow };
    for (const worker of this.#supervisor.running) worker.allow(allow);
  }

  reserveLabels(reservedLabels: LabelList): void {
    this.#options = { ...this.#options, reservedLabels };
    for (const worker of this.#supervisor.running) worker.reserveLabels(reservedLabels);
  }

  serveCertificate({ cert, key }: KeyPair): void {
    const tls = { cert, key };
    this.#health.serves(tls);
    this.#options = { ...this.#options, tls };
    for (const worker of this.#supervisor.running) worker.serveCertificate(tls);
  }

  workerCounts(): WorkerCounts {
    return { running: this.#supervisor.running.length, restarts: this.#supervisor.restarts };
  }

  async workerMetrics(): Promise<ReadonlyMap<string, MetricValues>> {
    const all = new Map<string, MetricValues>();
    const read = async (worker: WorkerLink): Promise<void> => {
      // A worker that has just ended, or is busy, keeps its last values.
      const values = await worker.metrics().catch(() => undefined);
      if (values) all.set(worker.name, values);
    };
    await Promise.all(this.#supervisor.running.map(read));
    return all;
  }

  isRunning(name: string): boolean {
    return this.#supervisor.running.some((worker) => worker.name === name);
  }

  close({ drainMs = 0 }: { drainMs?: number } = {}): Promise<void> {
    // A second call may shorten the drain.
    if (this.#closing) for (const worker of this.#supervisor.running) void worker.close(drainMs);
    return (this.#closing ??= this.#close(drainMs));
  }

  async #close(drainMs: number): Promise<void> {
    this.#health.stop();
    this.#supervisor.stop();
    await Promise.all(this.#supervisor.running.map((worker) => worker.close(drainMs)));
    this.#settings.options.socket?.release();
    await this.#store.close();
    this.#settings.log.info({}, 'all workers ended');
  }

  get #place(): Serving {
    if (!this.#serving) throw new Error('no worker has started');
    return this.#serving;
  }

  #onServing(worker: WorkerLink): void {
    this.#serving ??= worker.serving;
    // What changed while it was starting.
    const { deny, allow, reservedLabels, tls } = this.#options;
    if (deny) worker.deny(deny);
    if (allow) worker.allow(allow);
    if (reservedLabels) worker.reserveLabels(reservedLabels);
    if (tls) worker.serveCertificate(tls);
    for (const [hostname, pair] of this.#challenges) void this.#give(worker, hostname, pair);
  }

  #onEvent(worker: WorkerLink, event: WorkerEvent): void {
    if (event === 'step') return this.#steps.arrive(worker, this.#supervisor.running);
    this.#released.add(worker);
    this.#releaseSocket();
  }

  /** The next relay may use the sockets once all workers have stopped listening. */
  #releaseSocket(): void {
    const { running } = this.#supervisor;
    const isReleased = this.#released.size > 0 && running.every((one) => this.#released.has(one));
    if (isReleased) this.#settings.options.socket?.release();
  }

  async #share(hostname: string, pair: KeyPair | undefined): Promise<void> {
    if (pair) this.#challenges.set(hostname, pair);
    else this.#challenges.delete(hostname);
    await Promise.all(this.#supervisor.running.map((worker) => this.#give(worker, hostname, pair)));
  }

  async #give(worker: WorkerLink, hostname: string, pair: KeyPair | undefined): Promise<void> {
    // A worker that has just ended needs no challenge.
    await worker.challenge(hostname, pair).catch(() => undefined);
  }
}
