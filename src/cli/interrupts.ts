import { basename } from 'node:path';

/** Why a long-running command stops. */
export type StopReason = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'output closed' | 'down' | 'starter exited';

const EXIT_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type StopSignal = keyof typeof EXIT_OF_SIGNAL;
export type SignalExit = (typeof EXIT_OF_SIGNAL)[StopSignal];
const SIGNALS = Object.keys(EXIT_OF_SIGNAL) as StopSignal[];
/** Other programs reopen logs or upgrade on these signals, so users may send them. Portal ignores them. */
const UNUSED = ['SIGUSR1', 'SIGUSR2'] as const;

export interface Interrupts {
  /** Aborts at the first signal, with a StopReason as its reason. */
  readonly signal: AbortSignal;
  /** Restores Node's default handling of the signals. */
  dispose(): void;
}

export interface InterruptOptions {
  /** Runs before the second signal ends the process. Asynchronous work no longer finishes. */
  readonly onSecond?: (signal: StopReason) => void;
  /** Called for each signal before it is handled. */
  readonly onSignal?: (signal: StopSignal) => void;
  /** Called at SIGHUP, which then does not stop the process: services reload their files. */
  readonly onHangup?: () => void;
  /** Called at SIGUSR1 and SIGUSR2, which then do nothing. By default Node opens a debugger, or ends the process. */
  readonly onIgnored?: (signal: NodeJS.Signals) => void;
  readonly source?: NodeJS.Process;
}

/** Signals that came before `listenForInterrupts`; undefined before `holdInterrupts`. */
let held: { readonly signals: StopSignal[]; readonly hold: (signal: StopSignal) => void } | undefined;

/** Keeps signals for `listenForInterrupts`, for example while a command that reloads at SIGHUP is imported. */
export function holdInterrupts(source: NodeJS.Process = process): void {
  if (held) return;
  const signals: StopSignal[] = [];
  held = { signals, hold: (signal) => void signals.push(signal) };
  for (const name of SIGNALS) source.on(name, held.hold);
}

/** The exit code by which shells report this signal; undefined if the reason is not a signal. */
export function exitOfSignal(reason: unknown): SignalExit | undefined {
  return SIGNALS.includes(reason as StopSignal) ? EXIT_OF_SIGNAL[reason as StopSignal] : undefined;
}

/** Ignores signals in a process whose parent decides when it ends. A terminal sends them to both. */
export function ignoreInterrupts(source: NodeJS.Process = process): void {
  for (const name of [...SIGNALS, ...UNUSED]) source.on(name, () => undefined);
  if (held) for (const name of SIGNALS) source.off(name, held.hold);
  held = undefined;
}

/**
 * Handles signals. The first SIGINT, SIGTERM or SIGHUP starts a graceful shutdown. The second ends the process
 * immediately with 128 + n, the exit code by which shells report a signal.
 */
export function listenForInterrupts({
  onSecond,
  onSignal,
  onHangup,
  onIgnored,
  source = process,
}: InterruptOptions = {}): Interrupts {
  const controller = new AbortController();
  const handle = (signal: StopSignal): void => {
    onSignal?.(signal);
    if (signal === 'SIGHUP' && onHangup) return onHangup();
    if (controller.signal.aborted) {
      onSecond?.(signal);
      source.exit(EXIT_OF_SIGNAL[signal]);
    }
    controller.abort(signal satisfies StopReason);
  };
  const handled = SIGNALS.filter(
    (name) => name !== 'SIGHUP' || onHangup !== undefined || !isUnderNohup(source.env),
  );
  // Never removed: without a listener, Node ends the process.
  if (!handled.includes('SIGHUP')) source.on('SIGHUP', () => undefined);
  for (const name of handled) source.on(name, handle);
  if (onIgnored) for (const name of UNUSED) source.on(name, onIgnored);
  const early = held;
  held = undefined;
  if (early) for (const name of SIGNALS) source.off(name, early.hold);
  for (const name of early?.signals ?? []) if (handled.includes(name)) handle(name);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const name of handled) source.off(name, handle);
      if (onIgnored) for (const name of UNUSED) source.off(name, onIgnored);
    },
  };
}

/**
 * Under nohup, SIGHUP must be ignored. Node resets an inherited "ignore" before our code runs, so the signal mask does
 * not show it. Shells set `_` to the path of the command they run, and nohup leaves it unchanged.
 */
function isUnderNohup(env: NodeJS.ProcessEnv): boolean {
  return basename(env['_'] ?? '') === 'nohup';
}
