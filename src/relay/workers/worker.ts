import { AcmeChallenges } from '../../certificates/acme/challenges.js';
import { batched } from '../../lib/batches.js';
import { serveCalls, type Channel } from '../../lib/calls.js';
import type { Logger } from '../../lib/logger.js';
import { deferred, within } from '../../lib/wait.js';
import { multiplex } from '../../lib/multiplexer.js';
import { LIMITS } from '../../protocol/limits.js';
import { openChannelDirectory } from '../directory/channel.js';
import type { KeyPair } from '../public-port/http-surface.js';
import type { LabelList } from '../names/labels.js';
import { claimedSockets } from '../public-port/listen.js';
import type { RelayMetrics } from '../metrics/metrics.js';
import { ChannelNodes } from '../nodes/channel.js';
import { LocalLinks } from '../nodes/local-links.js';
import { startRelay, type Relay, type RelayOptions } from '../relay.js';
import { ChannelStore } from '../store/channel.js';
import { MainProcess } from './main-process.js';
import { listOf, optionsOf, type PlainList, type PlainOptions } from './plain.js';

/** The channels between a worker and the main process. */
export const WORKER_CHANNELS = ['commands', 'directory', 'store', 'nodes'] as const;

type Channels = Readonly<Record<(typeof WORKER_CHANNELS)[number], Channel>>;

/** What the secret of connections between workers is derived for. */
const LINKS = 'connections between workers';

/** Where a worker serves, for the main process. */
export type Serving = Pick<
  Relay,
  'url' | 'domain' | 'port' | 'publicPort' | 'addresses' | 'httpRedirect' | 'address' | 'descriptor'
>;

export type WorkerEvent =
  /** The worker has stopped listening on the sockets that the main process has claimed. */
  | 'released'
  /** The worker shuts down. It waits for `proceed` before it takes the next step. */
  | 'step';

/** How long a worker that shuts down waits for the other ones in total. One that does not respond is killed after about as long. */
const OTHERS_MS = 10_000;

export interface WorkerProcessOptions {
  /** The channel to the main process. */
  readonly channel: Channel;
  readonly log: Logger;
  /** Writes pending output. */
  readonly flush: () => Promise<unknown>;
}

/** Executes what the main process asks of this worker, which is one node of the relay. */
export function serveMainProcess({ channel, log, flush }: WorkerProcessOptions): void {
  const channels = multiplex(batched(channel), WORKER_CHANNELS);
  const worker = new Worker(channels, log, (event: WorkerEvent) => tell(event));
  const tell = serveCalls(channels.commands, {
    start: (options: PlainOptions) => worker.start(options),
    ping: () => worker.main?.heard(),
    deny: (list: PlainList) => worker.relay.deny(listOf(list)),
    allow: (list: PlainList) => worker.relay.allow(listOf(list)),
    reserveLabels: (list: LabelList) => worker.relay.reserveLabels(list),
    serveCertificate: (pair: KeyPair) => worker.relay.serveCertificate(pair),
    challenge: (hostname: string, pair: KeyPair | undefined) => worker.challenge(hostname, pair),
    metrics: () => worker.metrics?.values(),
    proceed: () => worker.proceed(),
    close: async (drainMs: number) => {
      await worker.relay.close({ drainMs });
      await flush();
    },
  });
}

class Worker {
  metrics: RelayMetrics | undefined;
  /** Undefined until this worker serves. */
  main: MainProcess | undefined;
  readonly #channels: Channels;
  readonly #log: Logger;
  readonly #tell: (event: WorkerEvent) => void;
  readonly #challenges = new AcmeChallenges();
  #relay: Relay | undefined;
  #nextStep = deferred<void>();
  #isInStep = true;

  constructor(channels: Channels, log: Logger, tell: (event: WorkerEvent) => void) {
    this.#channels = channels;
    this.#log = log;
    this.#tell = tell;
  }

  /** Throws before `start`. */
  get relay(): Relay {
    if (!this.#relay) throw new Error('the worker has not started');
    return this.#relay;
  }

  async start(plain: PlainOptions): Promise<Serving> {
    this.metrics = plain.metrics && (await metricsOf(plain.metrics));
    const nodes = new ChannelNodes(this.#channels.nodes);
    const given = optionsOf(plain);
    const options: RelayOptions = {
      ...given,
      socket: plain.fds && claimedSockets(plain.fds, () => this.#tell('released')),
      challenges: this.#challenges,
      // The main process has the store.
      store: 'memory',
      cluster: {
        directory: await openChannelDirectory(this.#channels.directory),
        store: new ChannelStore(this.#channels.store),
        nodes,
        links: await LocalLinks.open(nodes, given.identity.derive(LINKS).toString('base64url')),
        sharesPorts: true,
        problem: () => this.main?.problem(),
      },
      ...(this.metrics && { onVisitorWaited: this.metrics.onVisitorWaited }),
      inStep: () => this.#inStep(),
      log: this.#log,
    };
    this.#relay = await startRelay(options);
    // It pings from now on.
    const silentMs = given.limits?.workerResponseMs ?? LIMITS.workerResponseMs;
    this.main = new MainProcess({ silentMs, log: this.#log });
    this.metrics?.watch(this.#relay);
    nodes.started();
    const { url, domain, port, publicPort, addresses, httpRedirect, address, descriptor } = this.#relay;
    return { url, domain, port, publicPort, addresses, httpRedirect, address, descriptor };
  }

  /** Call when all workers have come to the step that this one waits for. */
  proceed(): void {
    this.#nextStep.resolve();
  }

  /** Until all workers that shut down have come to this step: a visitor may be on its way from one to another. */
  async #inStep(): Promise<void> {
    this.#nextStep = deferred();
    this.#tell('step');
    if (!this.#isInStep) return;
    await within(this.#nextStep.promise, OTHERS_MS, 'a step of the other workers').catch(() => {
      this.#isInStep = false;
    });
  }

  /** `pair` undefined: the challenge ended. */
  challenge(hostname: string, pair: KeyPair | undefined): void {
    this.#challenges.hear(hostname, pair);
  }
}

async function metricsOf(build: NonNullable<PlainOptions['metrics']>): Promise<RelayMetrics> {
  const { createMetrics } = await import('../metrics/metrics.js');
  return createMetrics(build);
}
