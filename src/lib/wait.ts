import { PortalError } from './errors.js';
import { stalledMs } from './stalls.js';

/** The time in which this process did not run extends a timeout, by up to this many times the timeout. */
const MOST_EXTENSIONS = 5;

/**
 * Calls `late` after `ms`, unless the returned function is called before. Time in which this process did not run does
 * not count, up to a limit. Reads pending data first, because timers fire before Node reads input.
 */
export function deadline(ms: number, late: () => void): () => void {
  const stalledBefore = stalledMs();
  let extendedMs = 0;
  let timer: NodeJS.Timeout;
  let reading: NodeJS.Immediate | undefined;
  const arm = (leftMs: number): void => {
    timer = setTimeout(() => (reading = setImmediate(due)), leftMs);
  };
  const due = (): void => {
    const owedMs = Math.min(stalledMs() - stalledBefore, ms * MOST_EXTENSIONS) - extendedMs;
    if (owedMs < 1) return late();
    extendedMs += owedMs;
    arm(owedMs);
  };
  arm(ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(reading);
  };
}

/** `promise`, with a timeout of `ms`, and until `signal` aborts. `what` names the operation in the error. */
export function within<T>(promise: Promise<T>, ms: number, what: string, signal?: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => finish(() => reject(abortReason(signal)));
    const inTime = deadline(ms, () =>
      finish(() => reject(new PortalError('timeout', `${what} timed out after ${Math.round(ms)} ms`))),
    );
    function finish(settle: () => void): void {
      inTime();
      signal?.removeEventListener('abort', abort);
      settle();
    }
    // First, so that a late rejection is always handled.
    promise.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    );
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** Resolves after `ms`; rejects when `signal` aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortReason(signal));
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    function abort(): void {
      clearTimeout(timer);
      reject(abortReason(signal));
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
}

const CHECK_EVERY_MS = 10;

/**
 * Resolves once `condition` holds, or after `ms`. Polls, for a condition that changes soon and sends no event. `condition` gets the
 * milliseconds that it has waited, and so does the caller. Time in which this process did not run hardly counts.
 */
export async function until(condition: (waitedMs: number) => boolean, ms: number): Promise<number> {
  let waitedMs = 0;
  for (; waitedMs < ms && !condition(waitedMs); waitedMs += CHECK_EVERY_MS) await delay(CHECK_EVERY_MS);
  return waitedMs;
}

/** The error for a cancelled wait. */
export function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof PortalError ? reason : new PortalError('aborted', 'cancelled', { cause: reason });
}

/** A promise with its functions. (Promise.withResolvers needs Node 22.) */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
