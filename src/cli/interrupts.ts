/** Why a long-running command was asked to stop. */
export type StopReason = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'output closed' | 'down' | 'starter gone';

const EXIT_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type StopSignal = keyof typeof EXIT_OF_SIGNAL;
const SIGNALS = Object.keys(EXIT_OF_SIGNAL) as StopSignal[];

export interface Interrupts {
  /** Aborts at the first signal, with a StopReason as its reason. */
  readonly signal: AbortSignal;
  /** Gives the signals back to Node's defaults. */
  dispose(): void;
}

/**
 * From here on the first SIGINT, SIGTERM or SIGHUP asks for an orderly stop, and the second ends the process
 * at once with 128 + n, which is how shells report a program that a signal ended.
 */
export function listenForInterrupts(source: NodeJS.Process = process): Interrupts {
  const controller = new AbortController();
  const onSignal = (signal: StopSignal): void => {
    if (controller.signal.aborted) source.exit(EXIT_OF_SIGNAL[signal]);
    controller.abort(signal satisfies StopReason);
  };
  for (const name of SIGNALS) source.on(name, onSignal);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const name of SIGNALS) source.off(name, onSignal);
    },
  };
}
