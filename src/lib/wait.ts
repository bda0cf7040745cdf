import { PortalError } from './errors.js';
import { stalledMs } from './stalls.js';

/** A timeout is extended by the time in which this process had no turn, up to this many times itself. */
const MOST_EXTENSIONS = 5;

/**
 * Calls `late` after `ms`, unless the function it returns is called before. Time in which this process had no turn does
 * not count, within bounds. What has arrived by then is heard first: timers run before anything is read.
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

/** `promise`, but no longer than `ms` and not past `signal`. `what` names the wait in the error. */
export function within<T>(promise: Promise<T>, ms: number, what: string, signal?: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => finish(() => reject(abortReason(signal)));
    const inTime = deadline(ms, () =>
      finish(() => reject(new PortalError('timeout', `${what} took longer than ${Math.round(ms)} ms`))),
    );
    function finish(settle: () => void): void {
      inTime();
      signal?.removeEventListener('abort', abort);
      settle();
    }
    // First of all: whatever comes of it, even once nobody waits any more, is heard.
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

const LOOK_EVERY_MS = 10;

/** Resolves once `condition` holds, or after `ms`: for what is over in a moment, and tells nobody. */
export async function until(condition: () => boolean, ms: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < ms && !condition(); waitedMs += LOOK_EVERY_MS) await delay(LOOK_EVERY_MS);
}

/** The error to end a cancelled wait with. */
export function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof PortalError ? reason : new PortalError('aborted', 'cancelled', { cause: reason });
}

/** A promise with its handles outside. (Promise.withResolvers needs Node 22.) */
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
