import { machineOf } from './actors.mjs';

/** Faults of cables. A rule drops packets silently at the switch. */

const partition = (kind, { between: role, weight, durationMs, what, oneWay }) => ({
  kind,
  what,
  targets: [role],
  resource: 'link',
  weight,
  durationMs,
  // TCP retransmits after growing delays, so a connection that stalled for a while resumes equally late.
  limitMs: ({ durationMs: took }) => 15_000 + took,
  draw: ({ pick }) => (oneWay ? { direction: pick(['to', 'from']) } : {}),
  async inject(world, { target: [one, another], direction }) {
    const other = machineOf(world, another).address;
    const rules = { to: `ip saddr ${other}`, from: `ip daddr ${other}` };
    const chosen = direction === undefined ? rules : { [direction]: rules[direction] };
    return world.network.drop(machineOf(world, one), chosen);
  },
});

/** Short, in one direction, and longer than the heartbeat timeout of both sides. */
const partitions = (name, between, whom, weight) => [
  partition(name, { between, what: `no packets pass between ${whom}`, weight, durationMs: [1_000, 7_000] }),
  partition(`${name}-one-way`, {
    between,
    what: `the same in one direction`,
    weight: weight / 2,
    durationMs: [1_000, 7_000],
    oneWay: true,
  }),
  partition(`${name}-long`, {
    between,
    what: 'the same for longer than the heartbeat timeout of both',
    weight: weight / 8,
    durationMs: [14_000, 20_000],
  }),
];

export const networkFaults = [
  ...partitions('partition', 'agent-relay', 'an agent and a relay', 4),
  ...partitions('peer-partition', 'relay-relay', 'two relays of a chain', 3),
  {
    kind: 'cable',
    what: 'the cable of a machine is unplugged and plugged in again',
    targets: ['relay', 'agent'],
    resource: 'link',
    weight: 2,
    durationMs: [500, 5_000],
    limitMs: ({ durationMs }) => 15_000 + durationMs,
    async inject(world, { target }) {
      const machine = machineOf(world, target);
      await world.network.cable(machine, false);
      return () => world.network.cable(machine, true);
    },
  },
  {
    kind: 'loss',
    what: 'some packets of a machine are lost, in both directions',
    targets: ['relay', 'agent'],
    resource: 'link',
    weight: 3,
    durationMs: [2_000, 8_000],
    limitMs: 15_000,
    draw: ({ between }) => ({ percent: between(3, 30) }),
    inject(world, { target, percent }) {
      const rule = `numgen random mod 100 < ${percent}`;
      return world.network.drop(machineOf(world, target), { to: rule, from: rule });
    },
  },
  {
    kind: 'delay',
    what: 'packets to a machine are delayed, by varying times',
    targets: ['relay', 'agent'],
    resource: 'queue',
    weight: 2,
    durationMs: [2_000, 8_000],
    limitMs: 15_000,
    needs: 'netem',
    draw: ({ between }) => ({ delayMs: between(20, 300) }),
    inject: (world, { target, delayMs }) =>
      world.network.qdisc(machineOf(world, target), `netem delay ${delayMs}ms ${Math.ceil(delayMs / 4)}ms`),
  },
  {
    kind: 'slow',
    what: 'a machine is behind a slow line, whose queue delays packets and finally drops them',
    targets: ['relay', 'agent'],
    resource: 'queue',
    weight: 2,
    durationMs: [2_000, 8_000],
    limitMs: 15_000,
    needs: 'tbf',
    draw: ({ between }) => ({ kbit: between(128, 2_000) }),
    inject: (world, { target, kbit }) =>
      world.network.qdisc(machineOf(world, target), `tbf rate ${kbit}kbit burst 16kb latency 500ms`),
  },
];
