import { TTL_MS } from '../shape.mjs';

/** Faults of the database. None excuses a visitor of a lease that exists. */

const database = {
  targets: ['database'],
  resource: 'database',
  isDatabase: true,
  excuses: () => [],
  recoverMs: 25_000,
};

export const databaseFaults = [
  {
    ...database,
    kind: 'database-restart',
    what: 'the database ends cleanly, and starts again',
    weight: 3,
    durationMs: [0, 12_000],
    inject: (world) => world.database.end('SIGINT'),
  },
  {
    ...database,
    kind: 'database-kill',
    what: 'kill -9 of the database, which starts again',
    weight: 3,
    durationMs: [0, 12_000],
    inject: (world) => world.database.end('SIGKILL'),
  },
  {
    ...database,
    kind: 'database-silent',
    what: 'no packets pass between the database and any node',
    weight: 3,
    durationMs: [1_000, 2 * TTL_MS],
    inject: (world) => world.network.drop(world.databaseBalancer.machine, { to: '', from: '' }),
  },
  {
    ...database,
    kind: 'database-failover',
    what: 'kill -9 of the database, and its standby takes over',
    weight: 4,
    durationMs: [1_000, 3_000],
    recoverMs: 30_000,
    draw: ({ between }) => ({ afterMs: between(0, 6_000) }),
    inject: (world, { afterMs }) => world.database.failOver(afterMs),
  },
  {
    ...database,
    kind: 'standby-silent',
    what: 'the standby does not respond, so commits wait for it',
    weight: 2,
    durationMs: [1_000, 10_000],
    inject: (world) => world.network.drop(world.database.standby.machine, { to: '', from: '' }),
  },
];
