import type { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { Channel } from '../../lib/calls.js';
import { deferred } from '../../lib/wait.js';
import type { BuildInfo } from '../../metrics/metric.js';
import { createWorkerMetrics } from '../../relay/metrics/workers.js';
import type { RelayOptions } from '../../relay/relay.js';
import type { WorkerProcess } from '../../relay/workers/link.js';
import { serveMainProcess } from '../../relay/workers/worker.js';
import { startWorkers } from '../../relay/workers/workers.js';
import type { Context, ExitCode } from '../context.js';
import { ignoreInterrupts } from '../interrupts.js';
import { ownCommand } from '../own-command.js';
import { relayLogger, type LogLevel } from './log.js';
import { WORKER_ENV, type Started } from './start.js';

/** The processes of `portal relay --workers`: Node's cluster lets all of them accept from the same sockets. */

/** Starts a relay with worker processes. */
export async function startWithWorkers(
  context: Context,
  options: RelayOptions,
  { workers: count, build }: { readonly workers: number; readonly build: BuildInfo | undefined },
): Promise<Started> {
  const workers = await startWorkers({ ...options, count, fork: workerForks(context), metrics: build });
  return {
    relay: workers,
    metrics: build && (await createWorkerMetrics(workers)),
    lost: workers.lost,
  };
}

/** What starts a worker with the arguments of this process. */
function workerForks({ argv }: Context): () => WorkerProcess {
  const [, script] = ownCommand();
  // Workers accept on their own; passing each connection on would cost as much as serving it.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({
    // Node runs the script. The standalone executable has none: it takes the first argument.
    exec: script ?? argv[0]!,
    args: script === undefined ? argv.slice(1) : [...argv],
    serialization: 'advanced',
    // Only the main process prints where the relay listens.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let started = 0;
  const running = new Set<ChildProcess>();
  // A worker that does not respond would not notice that this process has ended, and would keep the ports.
  process.once('exit', () => {
    for (const child of running) child.kill('SIGKILL');
  });
  return () => {
    const name = `w${++started}`;
    const worker = cluster.fork({ [WORKER_ENV]: name });
    // It repeats the errors of its process, which are handled below. Without a listener, they would end this process.
    worker.on('error', () => undefined);
    const { process: child } = worker;
    const ended = deferred<string>();
    running.add(child);
    child.once('exit', (code, signal) => {
      running.delete(child);
      ended.resolve(signal === null ? `exited with code ${code}` : `was ended by ${signal}`);
    });
    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      running.delete(child);
      ended.resolve(`could not run: ${error.message}`);
    });
    return {
      name,
      pid: child.pid,
      channel: channelToWorker(child, ended.promise),
      ended: ended.promise,
      kill: () => void child.kill('SIGKILL'),
    };
  };
}

/** Serves as a worker until the main process ends it or exits. */
export async function runWorker(
  { stderr, json }: Context,
  name: string,
  { logLevel }: { readonly logLevel: LogLevel },
): Promise<ExitCode> {
  ignoreInterrupts();
  const log = relayLogger({ stderr, json }, logLevel).child({ node: name });
  const ended = deferred<void>();
  const channel = channelTo(process);
  // Node ends a worker of a cluster at this moment, too.
  channel.onClose(() => ended.resolve());
  serveMainProcess({ channel, log, flush: () => stderr.flush() });
  channel.send(READY);
  await ended.promise;
  return 0;
}

/** The first message of a worker. Node 20 may lose messages to a worker that does not listen yet. */
const READY = 'ready';

/**
 * The channel to a worker closes when its process has `ended`, not only when Node reports that no more messages arrive: the
 * system closes the sockets of a process one after another, and ports of leases may be the last ones.
 */
function channelToWorker(child: Connected, ended: Promise<unknown>): Channel {
  const channel = channelTo(child);
  let early: unknown[] | undefined = [];
  const ready = (message: unknown): void => {
    if (message !== READY || !early) return;
    for (const each of early) channel.send(each);
    early = undefined;
  };
  child.on('message', ready);
  return {
    ...channel,
    send: (message) => {
      if (early) early.push(message);
      else channel.send(message);
    },
    onMessage: (listener) => channel.onMessage((message) => message !== READY && listener(message)),
    onClose: (listener) => channel.onClose(() => void ended.then(listener)),
  };
}

/** A child process, or this process as a child. */
interface Connected {
  readonly connected: boolean;
  send?(message: unknown, handle?: undefined, options?: undefined, sent?: () => void): boolean;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  once(event: 'disconnect', listener: () => void): unknown;
  disconnect?(): void;
}

/** The channel between this process and another one. */
function channelTo(other: Connected): Channel {
  return {
    send: (message) => {
      // The end of the channel reports that the process has ended.
      if (other.connected) other.send?.(message, undefined, undefined, () => undefined);
    },
    onMessage: (listener) => void other.on('message', listener),
    onClose: (listener) => void other.once('disconnect', listener),
    close: () => {
      if (other.connected) other.disconnect?.();
    },
  };
}
