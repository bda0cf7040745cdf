import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { PortalError } from '../../lib/errors.js';
import { deferred } from '../../lib/wait.js';
import type { Context } from '../context.js';
import { errorOf } from '../failure.js';
import { ConfigInvalid } from '../../library/config-invalid.js';
import { exitOfSignal, listenForInterrupts, type SignalExit } from '../interrupts.js';
import { ownCommand } from '../own-command.js';
import type { Reporter } from '../reporters/reporter.js';
import { DETACHED_ENV, type FromAgent, type ToAgent } from './messages.js';
import { StartWatch } from './start-watch.js';

/** An agent needs far less to load its configuration and identity, and to open its sockets. */
const START_TIMEOUT_MS = 30_000;
/** Longer than the agent's drain. */
const END_TIMEOUT_MS = 12_000;

export interface StartOptions {
  /** How long to wait until every service is ready; undefined: wait only for the first attempt of each. */
  readonly waitMs: number | undefined;
  /** The configuration, if it comes from standard input. */
  readonly stdin: string | undefined;
  readonly reporter: Reporter;
}

export type Start = { readonly pid: number } | { readonly exit: SignalExit };

/**
 * Runs this command line in a background process, and shows its progress until the start succeeds. Returns its process
 * id, or the exit code of a signal that came first. If the start fails, times out or is interrupted, stops the process.
 */
export async function startDetached(context: Context, options: StartOptions): Promise<Start> {
  const child = spawnAgent(context, options.stdin);
  const interrupts = listenForInterrupts();
  try {
    await untilStarted(child, options, interrupts.signal);
    await detachFrom(child);
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
    // Inherit no stream, so that the agent keeps no terminal or pipe open.
    stdio: [stdin === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore', 'ipc'],
  });
  child.stdin?.on('error', () => undefined).end(stdin);
  return child;
}

async function untilStarted(
  child: ChildProcess,
  options: StartOptions,
  interrupted: AbortSignal,
): Promise<void> {
  const { reporter, waitMs } = options;
  const started = deferred<void>();
  const watch = new StartWatch({ forReady: waitMs !== undefined });
  let failure: PortalError | undefined;
  let timer: NodeJS.Timeout | undefined;
  const startTimeout = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => started.reject(watch.late(ms)), ms);
  };

  child.on('message', (message) => {
    const received = message as FromAgent;
    if (received.kind === 'failed')
      failure = received.problems ? new ConfigInvalid(received.problems) : errorOf(received.error);
    else if (received.kind === 'problems') reporter.problems(received.problems);
    else if (received.kind === 'warning') reporter.warning(received.message);
    else if (received.kind === 'begin') {
      watch.begin(received.expected);
      if (waitMs === undefined) return;
      reporter.begin(received.expected);
      startTimeout(waitMs);
    } else {
      reporter.event(received.event);
      const verdict = watch.note(received.event);
      if (verdict === 'succeeded') started.resolve();
      if (verdict instanceof PortalError) started.reject(verdict);
    }
  });
  child.once('error', (error) =>
    started.reject(
      new PortalError('internal', `cannot start the background process: ${error.message}`, {
        cause: error,
      }),
    ),
  );
  // 'close', not 'exit', because every message has arrived then.
  child.once('close', (code, signal) => {
    const how = signal ?? `exit code ${code}`;
    started.reject(
      failure ??
        new PortalError('internal', `the background process exited (${how}) without an error message`),
    );
  });
  const onInterrupt = (): void => started.reject(new PortalError('aborted', 'the start was cancelled'));
  interrupted.addEventListener('abort', onInterrupt, { once: true });
  startTimeout(START_TIMEOUT_MS);
  try {
    await started.promise;
  } finally {
    clearTimeout(timer);
  }
}

async function detachFrom(child: ChildProcess): Promise<void> {
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
