import type { LocalCa } from '../../src/certificates/local-ca.js';
import { get } from './world.js';

/** Visitors that follow one another. */
export interface Visiting {
  /** What each got: the response, or the error. */
  readonly results: readonly string[];
  /** Ends with the present visitor. */
  end(): Promise<void>;
}

/** Visits `hostname`, each time over a new connection, until the caller ends it. */
export function keepVisiting(at: { readonly port: number }, hostname: string, ca: LocalCa): Visiting {
  const results: string[] = [];
  const stop = new AbortController();
  const visits = (async () => {
    while (!stop.signal.aborted)
      results.push(
        await get(at, hostname, ca).then(
          ({ text }) => text,
          (error: Error) => error.message,
        ),
      );
  })();
  return {
    results,
    end: () => {
      stop.abort();
      return visits;
    },
  };
}
