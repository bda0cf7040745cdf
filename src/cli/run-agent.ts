import type { AccessEntry } from '../agent/access-log.js';
import { gateFor, requiredAlpn } from '../agent/access/kinds.js';
import type { Desired } from '../config/desired.js';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { packageFile } from '../lib/package-file.js';
import type { Scope } from '../lib/scope.js';
import type { MetricsServer } from '../metrics/server.js';
import type { PortalEvent } from '../reconcile/events.js';
import { ExpiryClock } from '../reconcile/local/expiry.js';
import type { Notice } from '../reconcile/notices.js';
import type { Runner } from '../reconcile/runner.js';
import type { Context, ExitCode } from './context.js';
import { controlPlace, type AgentKey } from './control/address.js';
import { historyLogger } from './control/history-logger.js';
import { History } from './control/history.js';
import { agentMethods } from './control/agent-methods.js';
import { startControl, type ControlServer } from './control/server.js';
import { hasLocalCa } from '../library/agent.js';
import { Session } from '../library/session.js';
import { listenForInterrupts, type StopReason } from './interrupts.js';
import { LeaseBoard } from '../library/lease-board.js';
import type { ListenAddress } from './listen-address.js';
import type { Snapshot } from './live/model.js';
import { visitorsText } from './reporters/describe.js';
import type { Expected, Reporter, TimedEvent } from './reporters/reporter.js';

/** The built page of the inspector. */
const WEB_DIR = packageFile('dist/web');
/** Documented port; any free port if it is in use. */
const INSPECTOR_PORT = 4040;
/** How long visitors may finish after the first signal. */
const DRAIN_MS = 10_000;
/** How long the exit waits for a slow reader of the output. */
const FLUSH_MS = 1_000;

export interface AgentJob {
  /** The key by which `status`, `logs` and `down` find the agent. */
  readonly key: AgentKey;
  /** The services to run. */
  readonly desired: Desired;
  readonly reporter: Reporter;
  /** Reject relays that are not in portal.lock instead of adding them. */
  readonly frozen?: boolean;
  /** Selects the services to run, for `portal up SERVICE…`. Default: all. */
  readonly select?: (desired: Desired) => Desired;
  /** Applies each save of the file. */
  readonly follow?: (session: Session) => Promise<void>;
  /** Notices about files that were created before the agent started. */
  readonly made?: readonly Notice[];
  /** Where to serve metrics. */
  readonly metricsAt?: ListenAddress;
  /** Stops the agent, in addition to signals and `portal down`. */
  readonly stop?: AbortSignal;
}

/** Runs an agent until it is stopped, for `portal up` and `portal expose`. */
export async function runAgent(context: Context, job: AgentJob): Promise<ExitCode> {
  const agent = new AgentProcess(context, job);
  try {
    return await agent.run();
  } finally {
    agent.close();
    await job.reporter.close();
    await Promise.all([context.stdout.finish(FLUSH_MS), context.stderr.finish(FLUSH_MS)]);
  }
}

/** What the command line adds to an agent: signals, output, the control socket, metrics, and why it ends. */
class AgentProcess {
  readonly #context: Context;
  readonly #job: AgentJob;
  readonly #history = new History();
  readonly #access = new History<AccessEntry>();
  readonly #log = historyLogger(this.#history);
  readonly #interrupts = listenForInterrupts({ onSecond: (reason) => this.#cutShort?.(reason) });
  readonly #asked = new AbortController();
  /** Aborts when the agent must stop. */
  readonly #stopping: AbortSignal;
  /** Known once there is an agent, which reports nothing before. */
  #noteStart: ((event: PortalEvent) => void) | undefined;
  #cutShort: ((reason: StopReason) => void) | undefined;

  constructor(context: Context, job: AgentJob) {
    this.#context = context;
    this.#job = job;
    const { stdout, stderr } = context;
    // On a full disk, the agent continues without its output: its visitors are not readers of a log.
    const signals = [this.#interrupts.signal, this.#asked.signal, stdout.left, stderr.left];
    this.#stopping = AbortSignal.any(job.stop ? [...signals, job.stop] : signals);
  }

  async run(): Promise<ExitCode> {
    const { desired, made = [], frozen = false, follow } = this.#job;
    const session = await Session.open({
      surroundings: this.#context,
      desired,
      made,
      frozen,
      follow,
      run: {
        signal: this.#stopping,
        onEvent: (event) => this.#event(event),
        onWarning: (message) => this.#warn(message),
      },
      host: {
        accessLog: this.#access,
        inspector: {
          webDir: WEB_DIR,
          port: INSPECTOR_PORT,
          historyDir: this.#context.paths.historyDir,
        },
        portHolder: async (port) => (await import('./doctor/port-holder.js')).portHolder(port),
        log: this.#log,
        prepare: (opened, scope) => this.#prepare(opened, scope),
        onAbort: (reason, { runner }) => this.#onAbort(reason, runner.visitors),
      },
    });
    await session.finished();
    const { reason } = this.#stopping as { readonly reason: unknown };
    if (reason instanceof Error) throw reason;
    return 0;
  }

  /** Restores the handling of signals. */
  close(): void {
    this.#interrupts.dispose();
  }

  #ask(reason: StopReason | PortalError): void {
    this.#asked.abort(reason);
  }

  #event(event: TimedEvent): void {
    this.#history.add(event);
    this.#job.reporter.event(event);
    this.#noteStart?.(event);
  }

  /** Logs it as well: the command that started a background agent has exited by then. */
  #warn(message: string): void {
    this.#log.warn({}, message);
    this.#job.reporter.warning(message);
  }

  async #prepare(session: Session, scope: Scope): Promise<{ metrics?: string }> {
    const { desired, reporter } = this.#job;
    const { runner } = session;
    const current = new ExpiryClock(Date.now()).unexpired(desired);
    const expected = expectedLeases(current);
    this.#noteStart = watchFirstAttempt(expected, () =>
      this.#ask(new PortalError('all_failed', 'no service started')),
    );
    reporter.attach?.(() => snapshotOf(runner));
    const control = await this.#control(session);
    // Closes after the agent, so `down` loses its connection only when everything is done.
    scope.defer(() => control.close());
    this.#cutShort = (reason) => {
      if (runner.visitors > 0) reporter.warning(`disconnecting ${visitorsText(runner.visitors)}`);
      control.abandon();
      session.kill(reason);
    };
    const metrics = await metricsOf(this.#job, runner, this.#log);
    if (metrics) scope.defer(() => metrics.close());
    reporter.begin(expected);
    for (const { service } of desired.services.filter((each) => !current.services.includes(each)))
      reporter.warning(`${service} has expired and is not published. Set a later \`expires\`.`);
    return metrics ? { metrics: metrics.url } : {};
  }

  /** Throws `already_running` if another agent has the socket. */
  async #control(session: Session): Promise<ControlServer> {
    const { desired, key, select = (same) => same } = this.#job;
    const place = controlPlace(this.#context.paths.runDir);
    await place.prepare();
    const control = await startControl(place.address(key), {
      ...agentMethods(session, select),
      stop: () => this.#ask('down'),
      history: this.#history,
      access: this.#access,
    });
    if (control) return control;
    throw new PortalError(
      'already_running',
      `an agent is already running for ${desired.file ?? 'this process'}`,
    );
  }

  /** Lets visitors finish. */
  #onAbort(reason: unknown, visitors: number): { readonly drainMs: number; readonly reason: string } {
    if (this.#interrupts.signal.aborted && visitors > 0) {
      const again = reason === 'SIGINT' ? 'press Ctrl-C' : 'send the signal';
      this.#job.reporter.warning(
        `waiting up to ${DRAIN_MS / 1_000} s for ${visitorsText(visitors)} to finish; ${again} again to stop now`,
      );
    }
    return { drainMs: DRAIN_MS, reason: reasonText(reason) };
  }
}

/** Before the first service opens, because an address in use ends the start. */
async function metricsOf(
  { metricsAt }: AgentJob,
  runner: Runner,
  log: Logger,
): Promise<MetricsServer | undefined> {
  if (!metricsAt) return undefined;
  const { serveAgentMetrics } = await import('./agent-metrics.js');
  return serveAgentMetrics(runner, metricsAt, log);
}

/** How many recorded requests the live view shows. */
const SHOWN_REQUESTS = 5;

function snapshotOf(runner: Runner): Snapshot {
  const recorded = [...(runner.recorders?.store.all() ?? [])].slice(-SHOWN_REQUESTS);
  return { inspector: undefined, ...runner.snapshot(), requests: recorded };
}

function expectedLeases(desired: Desired): Expected[] {
  return desired.services.map((spec) => {
    const gate = gateFor(spec.access);
    return {
      service: spec.service,
      leases: spec.relays.length,
      ...(spec.onPool && { more: true }),
      ...(requiredAlpn(spec.access) === undefined
        ? hasLocalCa(spec) && { isLocalCa: true }
        : { isPrivate: true }),
      ...(gate && { gate }),
    };
  });
}

/**
 * Calls `onAllFailed` when every service failed permanently. Never calls it after a service was ready: a failure after a
 * reload must not stop the services that still run.
 */
function watchFirstAttempt(
  expected: readonly Expected[],
  onAllFailed: () => void,
): (event: PortalEvent) => void {
  const board = new LeaseBoard(expected);
  let isDecided = false;
  return (event) => {
    if (isDecided) return;
    board.note(event);
    const allFailed = board.allFailed();
    isDecided = allFailed || board.services('ready').length > 0;
    if (allFailed) onAllFailed();
  };
}

const reasonText = (reason: unknown): string =>
  reason instanceof PortalError ? reason.code : String(reason);
