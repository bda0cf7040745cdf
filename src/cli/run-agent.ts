import type { AccessEntry } from '../agent/access-log.js';
import { gateFor, requiredAlpn } from '../agent/access/kinds.js';
import type { Desired } from '../config/desired.js';
import { PortalError, asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { packageFile } from '../lib/package-file.js';
import { Scope } from '../lib/scope.js';
import type { MetricsServer } from '../metrics/server.js';
import type { PortalEvent } from '../reconcile/events.js';
import { ExpiryClock } from '../reconcile/expiry.js';
import type { Notice } from '../reconcile/notices.js';
import type { Runner } from '../reconcile/runner.js';
import type { Context, ExitCode } from './context.js';
import { controlPlace, type AgentKey } from './control/address.js';
import { historyLogger } from './control/history-logger.js';
import { History } from './control/history.js';
import { startControl } from './control/server.js';
import { commandEnvironment, hasLocalCa, openAgent, timed } from '../library/agent.js';
import { listenForInterrupts, type StopReason } from './interrupts.js';
import { LeaseBoard } from '../library/lease-board.js';
import type { ListenAddress } from './listen-address.js';
import type { Snapshot } from './live/model.js';
import { visitorsText } from './reporters/describe.js';
import type { Expected, Reporter } from './reporters/reporter.js';
import { restartRequired } from '../library/restart-required.js';

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
  readonly desired: Desired;
  readonly reporter: Reporter;
  /** Reject relays that are not in portal.lock instead of adding them. */
  readonly frozen?: boolean;
  /** Selects the services to run, for `portal up SERVICE…`. */
  readonly select: (desired: Desired) => Desired;
  /** Watches the file until the signal aborts. */
  readonly follow?: (runner: Runner, log: Logger, signal: AbortSignal) => Promise<void>;
  /** Notices about files that were created before the agent started. */
  readonly made?: readonly Notice[];
  /** Where to serve metrics. */
  readonly metricsAt?: ListenAddress;
  /** Stops the agent, in addition to signals and `portal down`. */
  readonly stop?: AbortSignal;
}

/** Runs an agent until it is stopped, for `portal up` and `portal expose`. */
export async function runAgent(context: Context, job: AgentJob): Promise<ExitCode> {
  const scope = new Scope();
  try {
    return await runIn(scope, context, job);
  } finally {
    await scope.close();
    await job.reporter.close();
    await Promise.all([context.stdout.finish(FLUSH_MS), context.stderr.finish(FLUSH_MS)]);
  }
}

async function runIn(scope: Scope, context: Context, job: AgentJob): Promise<ExitCode> {
  const { paths, stdout, stderr } = context;
  let cutShort: ((reason: StopReason) => void) | undefined;
  const interrupts = listenForInterrupts({ onSecond: (reason) => cutShort?.(reason) });
  scope.defer(() => interrupts.dispose());
  const asked = new AbortController();
  const ask = (reason: StopReason | PortalError): void => asked.abort(reason);
  const signals = [interrupts.signal, asked.signal, stdout.closed, stderr.closed];
  const stopping = AbortSignal.any(job.stop ? [...signals, job.stop] : signals);

  const history = new History();
  const access = new History<AccessEntry>();
  const log = historyLogger(history);
  const desired = job.select(job.desired);
  const current = new ExpiryClock(Date.now()).unexpired(desired);
  // Known once there is an identity; the agent reports nothing before.
  let noteStart: ((event: PortalEvent) => void) | undefined;
  let isStopReported = false;
  const emit = (event: PortalEvent): void => {
    if (event.event === 'stopped') isStopReported = true;
    const line = timed(event);
    history.add(line);
    job.reporter.event(line);
    noteStart?.(event);
  };
  // Log it as well: the command that started a background agent has exited by then.
  const warn = (message: string): void => {
    log.warn({}, message);
    job.reporter.warning(message);
  };
  const agent = await openAgent({
    surroundings: context,
    desired,
    frozen: job.frozen ?? false,
    made: job.made ?? [],
    accessLog: access,
    warn,
    inspector: { webDir: WEB_DIR, port: INSPECTOR_PORT, historyDir: paths.historyDir },
    environment: commandEnvironment(context.env),
    portHolder: async (port) => (await import('./doctor/port-holder.js')).portHolder(port),
    emit,
    log,
  });
  const { identity, runner } = agent;
  const expected = expectedLeases(current, identity.address);
  noteStart = watchFirstAttempt(expected, () => ask(new PortalError('all_failed', 'no service started')));
  job.reporter.attach?.(() => snapshotOf(runner));
  const place = controlPlace(paths.runDir);
  await place.prepare();
  const control = await startControl(place.address(job.key), {
    status: () => runner.status(),
    readiness: () => runner.readiness(),
    relays: () => runner.relays(),
    prove: async () => {
      await runner.prove();
      return runner.status();
    },
    plan: (wanted) => {
      const refusal = restartRequired(job.desired, wanted);
      if (refusal) throw refusal;
      return runner.plan(job.select(wanted));
    },
    replay: (id) => runner.recorders!.replayAndWait(id),
    flush: async (address) => ({
      isRecording: address === identity.address && (await runner.recorders?.flush()) === true,
    }),
    wipe: async (address) => {
      if (address !== identity.address) return { isWiped: false };
      const kept = await runner.recorders?.wipe();
      return { isWiped: true, held: await runner.wipeHeld(), ...(kept !== undefined && { kept }) };
    },
    share: (request) => runner.sharing!.share(request),
    reloadShares: async (address) => {
      if (address !== identity.address) return { isReloaded: false };
      await runner.sharing!.load();
      return { isReloaded: true };
    },
    stop: () => ask('down'),
    history,
    access,
  });
  if (!control)
    throw new PortalError(
      'already_running',
      `an agent is already running for ${desired.file ?? 'this process'}`,
    );
  cutShort = (reason) => {
    if (runner.visitors > 0) job.reporter.warning(`disconnecting ${visitorsText(runner.visitors)}`);
    runner.kill();
    control.abandon();
    if (!isStopReported) emit({ event: 'stopped', reason });
  };
  // Closes after the runner, so `down` loses its connection only when everything is done.
  scope.defer(() => control.close());
  const metrics = await metricsOf(job, runner, log);
  if (metrics) scope.defer(() => metrics.close());

  job.reporter.begin(expected);
  for (const { service } of desired.services.filter((each) => !current.services.includes(each)))
    job.reporter.warning(`${service} has expired and is not published. Set a later \`expires\`.`);
  await agent.begin(metrics && { metrics: metrics.url });
  scope.defer(() => runner.stop({ reason: reasonText(stopping.reason), drainMs: DRAIN_MS }));
  runner.apply(desired).catch((error: unknown) => ask(asPortalError(error)));
  await job.follow?.(runner, log, stopping);
  await aborted(stopping);
  if (interrupts.signal.aborted && runner.visitors > 0) {
    const again = interrupts.signal.reason === 'SIGINT' ? 'press Ctrl-C' : 'send the signal';
    job.reporter.warning(
      `waiting up to ${DRAIN_MS / 1_000} s for ${visitorsText(runner.visitors)} to finish; ${again} again to stop now`,
    );
  }
  if (stopping.reason instanceof Error) throw stopping.reason;
  return 0;
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

function expectedLeases(desired: Desired, owner: string): Expected[] {
  return desired.services.map((spec) => {
    const gate = gateFor(spec.access);
    return {
      service: spec.service,
      leases: spec.relays.length,
      ...(spec.onPool && { more: true }),
      ...(requiredAlpn(spec.access) === undefined
        ? hasLocalCa(spec) && { isLocalCa: true }
        : { privateOf: owner }),
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
