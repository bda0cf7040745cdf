import { AT_ONCE_MS, frozen, killed } from './nodes.mjs';

/** Faults of agents that share a name with another agent. Visitors who come later reach the other agent. */

/** A connection whose agent does not respond is closed after this time: 2.5 heartbeats, and the next look. */
const NOTICED_MS = 17_500;
/** Until every node has heard of it. */
const HEARD_MS = 1_500;

/** All replicas are one target, so that one of them always runs. `of` says which one the fault hits. */
const replica = {
  targets: ['replica set'],
  resource: 'process',
  recoverMs: 20_000,
  draw: ({ between }) => ({ of: between(0, 1) }),
};

const replicaOf = (world, { target, of }) => world.agents.get(target[of]);

export const replicaFaults = [
  {
    ...replica,
    kind: 'replica-kill',
    what: 'kill -9 of one of two agents of a name, which restarts',
    weight: 3,
    durationMs: [0, 8_000],
    inject: (world, fault) => killed(replicaOf(world, fault), fault),
    excuses: ({ target, injectedAt, happenedAt }) => [
      { from: injectedAt - AT_ONCE_MS, until: happenedAt + HEARD_MS, agent: target[0], streams: true },
    ],
  },
  {
    ...replica,
    kind: 'replica-stop',
    what: 'SIGTERM of one of two agents of a name, which restarts',
    weight: 2,
    durationMs: [0, 3_000],
    async inject(world, fault) {
      const one = replicaOf(world, fault);
      await one.stop();
      return () => one.start();
    },
    excuses: () => [],
  },
  {
    ...replica,
    kind: 'replica-freeze',
    what: 'SIGSTOP of one of two agents of a name, until every connection to it has timed out',
    weight: 2,
    durationMs: [NOTICED_MS + 3_000, NOTICED_MS + 6_000],
    inject: (world, fault) => frozen(replicaOf(world, fault)),
    // Visitors who got a connection that was opened before are lost with the agent.
    excuses: ({ target, injectedAt }) => [
      { from: injectedAt - AT_ONCE_MS, until: injectedAt + NOTICED_MS, agent: target[0], streams: true },
    ],
  },
];
