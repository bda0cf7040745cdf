import { RENEW_MS, TTL_MS } from '../shape.mjs';
import { AT_ONCE_MS, BACK_MS, closed } from './nodes.mjs';

/** Faults of cables. A rule drops packets silently at the switch (lib/network.mjs). */

/** TCP retransmits after growing delays, so a connection resumes up to this much later than the path. */
const RESUME_MS = 10_000;
/** Forwarded connections outlive a shorter cut between nodes. */
const LINK_LOST_MS = 8_000;

/** Packets between a machine and an address, for `drop` of lib/network.mjs. */
export const between = (address) => ({ to: `ip saddr ${address}`, from: `ip daddr ${address}` });

const fromDatabase = {
  targets: ['node'],
  resource: 'database link',
  downs: true,
  recoverMs: 25_000,
  inject: (world, { target }) =>
    world.network.drop(world.nodes.get(target).machine, between(world.databaseBalancer.machine.address)),
};

export const networkFaults = [
  {
    ...fromDatabase,
    kind: 'cut-database',
    what: 'no packets pass between a node and the database, for less than its time to live',
    weight: 2,
    durationMs: [500, TTL_MS - 2 * RENEW_MS - 1_000],
    excuses: () => [],
  },
  {
    ...fromDatabase,
    kind: 'cut-database-long',
    what: 'the same, for longer than its time to live: it gives up its leases',
    weight: 4,
    durationMs: [TTL_MS + 3_000, TTL_MS + 8_000],
    losesNode: true,
    excuses: closed,
  },
  {
    kind: 'cut-nodes',
    what: 'no packets pass between two nodes',
    targets: ['node pair'],
    downs: true,
    resource: 'node link',
    weight: 4,
    durationMs: [1_000, 14_000],
    recoverMs: 25_000,
    inject: (world, { target: [one, other] }) =>
      world.network.drop(world.nodes.get(one).machine, between(world.nodes.get(other).machine.address)),
    excuses: ({ target, injectedAt, healedAt, durationMs }) => [
      {
        from: injectedAt,
        until: healedAt + RESUME_MS,
        pair: target,
        streams: durationMs > LINK_LOST_MS,
      },
    ],
  },
  {
    kind: 'cut-off',
    downs: true,
    what: 'the cable of a node is unplugged, for longer than its time to live',
    targets: ['node'],
    resource: 'process',
    weight: 3,
    durationMs: [TTL_MS + 3_000, TTL_MS + 8_000],
    recoverMs: 25_000,
    losesNode: true,
    async inject(world, { target }) {
      const { machine } = world.nodes.get(target);
      await world.network.cable(machine, false);
      return () => world.network.cable(machine, true);
    },
    // The balancer notices within 5 s that the machine is silent, and disconnects its agents.
    excuses: ({ target, injectedAt, healedAt }) => [
      { from: injectedAt - AT_ONCE_MS, until: injectedAt + AT_ONCE_MS, node: target, streams: true },
      { from: injectedAt, until: healedAt + BACK_MS, entry: target },
    ],
  },
];
