import type { Logger } from '../lib/logger.js';
import { until } from '../lib/wait.js';
import type { Datagrams } from './datagrams/datagrams.js';
import type { LeaseDirectory } from './directory/directory.js';
import type { Front } from './front.js';
import type { Hops } from './hops.js';
import type { HttpSurface } from './http.js';
import type { LeaseRegistry } from './leases.js';
import type { Sessions } from './sessions.js';
import type { Store } from './store/store.js';
import type { TicketBook } from './tickets.js';
import type { VisitorGate } from './visitors.js';

/** How a relay shuts down: the next process can take every port and name while visitors of this one finish. */

export interface ShutdownParts {
  readonly front: Front;
  readonly leases: LeaseRegistry;
  readonly datagrams: Datagrams;
  readonly gate: VisitorGate;
  readonly hops: Hops;
  readonly sessions: Sessions;
  readonly tickets: TicketBook;
  readonly http: HttpSurface;
  readonly store: Store;
  readonly directory: LeaseDirectory;
  readonly log: Logger;
}

/** How long to serve visitors in the queue. There are two reasons to wait, so twice this at most. */
const SETTLE_MS = 500;
/** Agents reconnect at a random time within this after the shutdown, */
const RECONNECT_WITHIN_MS = 1_000;
/** or within this for each agent, if that is longer. */
const RECONNECT_MS_EACH = 2;

export async function shutDown(parts: ShutdownParts, drainMs: number): Promise<void> {
  const { front, leases, datagrams, gate, hops, sessions, tickets, http, store, directory, log } = parts;
  if (drainMs > 0) {
    // Visitors that still wait get no data connection once agents cannot connect.
    await until(() => gate.waiting === 0, SETTLE_MS);
  }
  // The main port closes last: the next process waits for it, and then finds all other ports free.
  leases.stopListening();
  datagrams.close();
  front.stopListening();
  // Visitors just routed can still use the idle pool.
  if (drainMs > 0) await until(() => front.unrouted === 0 && gate.waiting === 0, SETTLE_MS);
  front.stop();
  const withinMs = Math.max(RECONNECT_WITHIN_MS, sessions.size * RECONNECT_MS_EACH);
  for (const session of sessions)
    session.announceShutdown('the relay is stopping', Math.ceil(Math.random() * withinMs));
  leases.clear();
  tickets.close();
  // From here on this process writes nothing, and the next one uses the store.
  await store.close();
  await directory.close();
  if (drainMs > 0 && gate.size > 0)
    log.info({ visitors: gate.size, drainMs }, 'waiting for visitors to finish');
  await Promise.all([gate.drain({ ms: drainMs }), hops.drain({ ms: drainMs })]);
  hops.close();
  for (const session of sessions) session.terminate();
  http.close();
  await front.close();
}
