import type { Logger } from '../lib/logger.js';
import { until } from '../lib/wait.js';
import type { Datagrams } from './datagrams/datagrams.js';
import type { Front } from './front.js';
import type { Hops } from './hops.js';
import type { HttpSurface } from './http.js';
import type { LeaseRegistry } from './leases.js';
import type { Sessions } from './sessions.js';
import type { Store } from './store.js';
import type { TicketBook } from './tickets.js';
import type { VisitorGate } from './visitors.js';

/** How a relay goes: so that its successor can take over every port and name while visitors here finish. */

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
  readonly log: Logger;
}

/** Visitors in line are served still, for no longer than this; twice, for there are two reasons to wait. */
const SETTLE_MS = 500;
/** Agents come back at a random moment below this after the relay went away, */
const RECONNECT_WITHIN_MS = 1_000;
/** or within so much for each of them, where that is longer. */
const RECONNECT_MS_EACH = 2;

export async function shutDown(parts: ShutdownParts, drainMs: number): Promise<void> {
  const { front, leases, datagrams, gate, hops, sessions, tickets, http, store, log } = parts;
  if (drainMs > 0) {
    // Whoever waits for a data connection gets none once agents cannot connect any more.
    await until(() => gate.waiting === 0, SETTLE_MS);
  }
  // The main port is given up last: a successor that waits for it then finds all the others free.
  leases.stopListening();
  datagrams.close();
  front.stopListening();
  // Those who were let in a moment ago still have the data connections that are ready.
  if (drainMs > 0) await until(() => front.unrouted === 0 && gate.waiting === 0, SETTLE_MS);
  front.stop();
  const withinMs = Math.max(RECONNECT_WITHIN_MS, sessions.size * RECONNECT_MS_EACH);
  for (const session of sessions)
    session.announceShutdown('the relay is stopping', Math.ceil(Math.random() * withinMs));
  leases.clear();
  tickets.close();
  // Nothing is written from here on, and the store is the successor's.
  await store.close();
  if (drainMs > 0 && gate.size > 0)
    log.info({ visitors: gate.size, drainMs }, 'waiting for visitors to finish');
  await Promise.all([gate.drain({ ms: drainMs }), hops.drain({ ms: drainMs })]);
  hops.close();
  for (const session of sessions) session.terminate();
  http.close();
  await front.close();
}
