import { summarizeError } from '../failure.js';
import { ConfigInvalid } from '../../library/config-invalid.js';
import { asPortalError } from '../../lib/errors.js';
import type { StopReason } from '../interrupts.js';
import type { Reporter } from '../reporters/reporter.js';
import { DETACHED_ENV, type FromAgent, type ToAgent } from './messages.js';

/** The command `portal up --detach` that started this background agent. */
export interface Starter {
  /** Reports to the starter while it listens. */
  readonly reporter: Reporter;
  /** Aborts if the starter cancels the start, or exits before it decides to keep the agent. */
  readonly stop: AbortSignal;
  fail(error: unknown): Promise<void>;
}

/** The starter, if this process is a background agent; else undefined. Call it once. */
export function connectStarter(source: NodeJS.Process = process): Starter | undefined {
  if (!source.env[DETACHED_ENV] || !source.connected) return undefined;
  delete source.env[DETACHED_ENV];

  const stop = new AbortController();
  let isKept = false;
  source.on('message', (message) => {
    const { kind } = message as ToAgent;
    if (kind === 'keep') isKept = true;
    else stop.abort('starter exited' satisfies StopReason);
  });
  source.once('disconnect', () => {
    if (!isKept) stop.abort('starter exited' satisfies StopReason);
  });

  const tell = (message: FromAgent): Promise<void> =>
    new Promise((resolve) => {
      // 'disconnect' reports that the starter exited.
      if (source.connected) source.send!(message, () => resolve());
      else resolve();
    });
  return {
    reporter: {
      begin: (expected) => void tell({ kind: 'begin', expected }),
      event: (event) => void tell({ kind: 'event', event }),
      problems: (problems) => void tell({ kind: 'problems', problems }),
      warning: (message) => void tell({ kind: 'warning', message }),
      close: () => Promise.resolve(),
    },
    stop: stop.signal,
    fail: (thrown) => {
      const error = asPortalError(thrown);
      const problems = error instanceof ConfigInvalid ? { problems: error.problems } : {};
      return tell({ kind: 'failed', error: summarizeError(error), ...problems });
    },
  };
}
