import { basename } from 'node:path';

/** Why a long-running command was asked to stop. */
export type StopReason = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'output closed' | 'down' | 'starter gone';

const EXIT_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type StopSignal = keyof typeof EXIT_OF_SIGNAL;
export type SignalExit = (typeof EXIT_OF_SIGNAL)[StopSignal];
const SIGNALS = Object.keys(EXIT_OF_SIGNAL) as StopSignal[];
/** Other services take them to open their logs again or to upgrade, and people send them for that. */
const UNUSED = ['SIGUSR1', 'SIGUSR2'] as const;

export interface Interrupts {
  /** Aborts at the first signal, with a StopReason as its reason. */
  readonly signal: AbortSignal;
  /** Gives the signals back to Node's defaults. */
  dispose(): void;
}

export interface InterruptOptions {
  /** The last that is done when the process is ended at once; nothing asynchronous comes of it any more. */
  readonly onSecond?: (signal: StopReason) => void;
  /** Hears each of the signals, before anything comes of it. */
  readonly onSignal?: (signal: StopSignal) => void;
  /** What SIGHUP does in place of stopping: services read their files again. */
  readonly onHangup?: () => void;
  /** Hears SIGUSR1 and SIGUSR2, which then do nothing: Node would open a debugger, or end the process. */
  readonly onNothing?: (signal: NodeJS.Signals) => void;
  readonly source?: NodeJS.Process;
}

/** Signals that came before `listenForInterrupts`; undefined: nobody holds them. */
let held: { readonly signals: StopSignal[]; readonly hold: (signal: StopSignal) => void } | undefined;

/** Keeps each signal for `listenForInterrupts`: while a command that reads its files again at SIGHUP is loaded, say. */
export function holdInterrupts(source: NodeJS.Process = process): void {
  if (held) return;
  const signals: StopSignal[] = [];
  held = { signals, hold: (signal) => void signals.push(signal) };
  for (const name of SIGNALS) source.on(name, held.hold);
}

/** How a shell reports a command that was ended for this reason; undefined when it was not a signal. */
export function exitOfSignal(reason: unknown): SignalExit | undefined {
  return SIGNALS.includes(reason as StopSignal) ? EXIT_OF_SIGNAL[reason as StopSignal] : undefined;
}

/**
 * From here on the first SIGINT, SIGTERM or SIGHUP asks for an orderly stop, and the second ends the process
 * at once with 128 + n, which is how shells report a program that a signal ended.
 */
export function listenForInterrupts({
  onSecond,
  onSignal,
  onHangup,
  onNothing,
  source = process,
}: InterruptOptions = {}): Interrupts {
  const controller = new AbortController();
  const take = (signal: StopSignal): void => {
    onSignal?.(signal);
    if (signal === 'SIGHUP' && onHangup) return onHangup();
    if (controller.signal.aborted) {
      onSecond?.(signal);
      source.exit(EXIT_OF_SIGNAL[signal]);
    }
    controller.abort(signal satisfies StopReason);
  };
  const heard = SIGNALS.filter(
    (name) => name !== 'SIGHUP' || onHangup !== undefined || !isUnderNohup(source.env),
  );
  // Never taken off: Node would end the process again.
  if (!heard.includes('SIGHUP')) source.on('SIGHUP', () => undefined);
  for (const name of heard) source.on(name, take);
  if (onNothing) for (const name of UNUSED) source.on(name, onNothing);
  const early = held;
  held = undefined;
  if (early) for (const name of SIGNALS) source.off(name, early.hold);
  for (const name of early?.signals ?? []) if (heard.includes(name)) take(name);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const name of heard) source.off(name, take);
      if (onNothing) for (const name of UNUSED) source.off(name, onNothing);
    },
  };
}

/**
 * Whoever starts us under nohup wants SIGHUP ignored. Node takes an inherited "ignore" back before any code of
 * ours runs, so the signal mask no longer tells; what does is the `_` that shells hand to a command they run:
 * its own path, which nohup passes on as it is.
 */
function isUnderNohup(env: NodeJS.ProcessEnv): boolean {
  return basename(env['_'] ?? '') === 'nohup';
}
