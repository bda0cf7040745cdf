import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { PortalError } from '../../lib/errors.js';
import { deferred } from '../../lib/wait.js';
import type { Context } from '../context.js';
import { ConfigInvalid, errorOf } from '../failure.js';
import { exitOfSignal, listenForInterrupts, type SignalExit } from '../interrupts.js';
import { ownCommand } from '../own-command.js';
import type { Reporter } from '../reporters/reporter.js';
import { DETACHED_ENV, type FromAgent, type ToAgent } from './messages.js';
import { StartWatch } from './start-watch.js';

/** Loading, identity, sockets: an agent that has not started by then never will. */
const START_TIMEOUT_MS = 30_000;
/** Its drain, and a little more. */
const END_TIMEOUT_MS = 12_000;

export interface StartOptions {
  /** Until every service is ready, for at most so long after the start; undefined: until each had its first try. */
  readonly waitMs: number | undefined;
  /** What it reads from standard input, if its configuration comes from there. */
  readonly stdin: string | undefined;
  readonly reporter: Reporter;
}

export type Start = { readonly pid: number } | { readonly exit: SignalExit };

/**
 * Runs this same command line in a process of its own, shows what that process tells until it is on its feet,
 * and lets it go. Gives its process id, or what a signal that came first makes the exit code. When it fails, is interrupted
 * or does not make it in time, nothing stays behind.
 */
export async function startDetached(context: Context, options: StartOptions): Promise<Start> {
  const child = spawnAgent(context, options.stdin);
  const interrupts = listenForInterrupts();
  try {
    await untilSatisfied(child, options, interrupts.signal);
    await letGo(child);
    return { pid: child.pid! };
  } catch (error) {
    await end(child);
    const exit = exitOfSignal(interrupts.signal.reason);
    if (exit !== undefined) return { exit };
    throw error;
  } finally {
    interrupts.dispose();
    await options.reporter.close();
  }
}

function spawnAgent(context: Context, stdin: string | undefined): ChildProcess {
  const [node, ...script] = ownCommand();
  const child = spawn(node, [...process.execArgv, ...script, ...context.argv], {
    cwd: context.cwd,
    env: { ...context.env, [DETACHED_ENV]: '1' },
    detached: true,
    windowsHide: true,
    // Nothing of ours is inherited: a terminal that closes, or a pipe that is read to its end, is not held open.
    stdio: [stdin === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore', 'ipc'],
  });
  child.stdin?.on('error', () => undefined).end(stdin);
  return child;
}

async function untilSatisfied(
  child: ChildProcess,
  options: StartOptions,
  interrupted: AbortSignal,
): Promise<void> {
  const { reporter, waitMs } = options;
  const satisfied = deferred<void>();
  const watch = new StartWatch({ forReady: waitMs !== undefined });
  let failure: PortalError | undefined;
  let timer: NodeJS.Timeout | undefined;
  const bound = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => satisfied.reject(watch.late(ms)), ms);
  };

  child.on('message', (message) => {
    const told = message as FromAgent;
    if (told.kind === 'failed')
      failure = told.problems ? new ConfigInvalid(told.problems) : errorOf(told.error);
    else if (told.kind === 'problems') reporter.problems(told.problems);
    else if (told.kind === 'warning') reporter.warning(told.message);
    else if (told.kind === 'begin') {
      watch.begin(told.expected);
      if (waitMs === undefined) return;
      reporter.begin(told.expected);
      bound(waitMs);
    } else {
      reporter.event(told.event);
      const verdict = watch.note(told.event);
      if (verdict === 'good') satisfied.resolve();
      if (verdict instanceof PortalError) satisfied.reject(verdict);
    }
  });
  child.once('error', (error) =>
    satisfied.reject(
      new PortalError('internal', `the background process cannot be started: ${error.message}`, {
        cause: error,
      }),
    ),
  );
  // 'close', not 'exit': by then every message has arrived.
  child.once('close', (code, signal) => {
    const how = signal ?? `exit code ${code}`;
    satisfied.reject(
      failure ?? new PortalError('internal', `the background process ended (${how}) and did not say why`),
    );
  });
  const onInterrupt = (): void => satisfied.reject(new PortalError('aborted', 'the start was cancelled'));
  interrupted.addEventListener('abort', onInterrupt, { once: true });
  bound(START_TIMEOUT_MS);
  try {
    await satisfied.promise;
  } finally {
    clearTimeout(timer);
  }
}

async function letGo(child: ChildProcess): Promise<void> {
  await tell(child, { kind: 'keep' });
  if (child.connected) child.disconnect();
  child.unref();
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, 'exit');
  await tell(child, { kind: 'stop' });
  const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}

function tell(child: ChildProcess, message: ToAgent): Promise<void> {
  return new Promise((resolve) => {
    if (child.connected) child.send(message, () => resolve());
    else resolve();
  });
}
