import { ConfigInvalid, summarizeError } from '../failure.js';
import { asPortalError } from '../../lib/errors.js';
import type { StopReason } from '../interrupts.js';
import type { Reporter } from '../reporters/reporter.js';
import { DETACHED_ENV, type FromAgent, type ToAgent } from './messages.js';

/** The other end of `portal up --detach`, seen from the agent in the background. */
export interface Starter {
  /** Tells the starter what happens, as long as it listens. */
  readonly reporter: Reporter;
  /** Aborts when the starter changed its mind, or died before it was satisfied. */
  readonly stop: AbortSignal;
  fail(error: unknown): Promise<void>;
}

/** Set when this process is the agent in the background, once. */
export function connectStarter(source: NodeJS.Process = process): Starter | undefined {
  if (!source.env[DETACHED_ENV] || !source.connected) return undefined;
  delete source.env[DETACHED_ENV];

  const stop = new AbortController();
  let isKept = false;
  source.on('message', (message) => {
    const { kind } = message as ToAgent;
    if (kind === 'keep') isKept = true;
    else stop.abort('starter gone' satisfies StopReason);
  });
  source.once('disconnect', () => {
    if (!isKept) stop.abort('starter gone' satisfies StopReason);
  });

  const tell = (message: FromAgent): Promise<void> =>
    new Promise((resolve) => {
      // A starter that is gone is told of by 'disconnect'.
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
