import { machineOf } from './actors.mjs';

/** What happens to cables. A rule drops a packet at the switch, so nobody is told that it is lost. */

const partition = (kind, { between: role, weight, durationMs, what, oneWay }) => ({
  kind,
  what,
  targets: [role],
  resource: 'link',
  weight,
  durationMs,
  // TCP asks again after ever longer pauses: what stood still for a while begins again as late again.
  boundMs: ({ durationMs: took }) => 15_000 + took,
  draw: ({ pick }) => (oneWay ? { direction: pick(['to', 'from']) } : {}),
  async inject(world, { target: [one, another], direction }) {
    const other = machineOf(world, another).address;
    const rules = { to: `ip saddr ${other}`, from: `ip daddr ${other}` };
    const chosen = direction === undefined ? rules : { [direction]: rules[direction] };
    return world.network.drop(machineOf(world, one), chosen);
  },
});

/** Short, one way, and longer than both wait for a sign of life. */
const partitions = (name, between, whom, weight) => [
  partition(name, { between, what: `nothing passes between ${whom}`, weight, durationMs: [1_000, 7_000] }),
  partition(`${name}-one-way`, {
    between,
    what: `the same in one direction`,
    weight: weight / 2,
    durationMs: [1_000, 7_000],
    oneWay: true,
  }),
  partition(`${name}-long`, {
    between,
    what: 'the same for longer than both wait for a sign of life',
    weight: weight / 8,
    durationMs: [14_000, 20_000],
  }),
];

export const networkFaults = [
  ...partitions('partition', 'agent-relay', 'an agent and a relay', 4),
  ...partitions('peer-partition', 'relay-relay', 'two relays of a chain', 3),
  {
    kind: 'cable',
    what: 'the cable of a machine is pulled out and plugged in again',
    targets: ['relay', 'agent'],
    resource: 'link',
    weight: 2,
    durationMs: [500, 5_000],
    boundMs: ({ durationMs }) => 15_000 + durationMs,
    async inject(world, { target }) {
      const machine = machineOf(world, target);
      await world.network.cable(machine, false);
      return () => world.network.cable(machine, true);
    },
  },
  {
    kind: 'loss',
    what: 'a part of the packets of a machine is lost, both ways',
    targets: ['relay', 'agent'],
    resource: 'link',
    weight: 3,
    durationMs: [2_000, 8_000],
    boundMs: 15_000,
    draw: ({ between }) => ({ percent: between(3, 30) }),
    inject(world, { target, percent }) {
      const rule = `numgen random mod 100 < ${percent}`;
      return world.network.drop(machineOf(world, target), { to: rule, from: rule });
    },
  },
  {
    kind: 'delay',
    what: 'packets to a machine come late, and not all alike',
    targets: ['relay', 'agent'],
    resource: 'queue',
    weight: 2,
    durationMs: [2_000, 8_000],
    boundMs: 15_000,
    needs: 'netem',
    draw: ({ between }) => ({ delayMs: between(20, 300) }),
    inject: (world, { target, delayMs }) =>
      world.network.qdisc(machineOf(world, target), `netem delay ${delayMs}ms ${Math.ceil(delayMs / 4)}ms`),
  },
  {
    kind: 'slow',
    what: 'a machine is behind a slow line, whose queue makes packets late and at last drops them',
    targets: ['relay', 'agent'],
    resource: 'queue',
    weight: 2,
    durationMs: [2_000, 8_000],
    boundMs: 15_000,
    needs: 'tbf',
    draw: ({ between }) => ({ kbit: between(128, 2_000) }),
    inject: (world, { target, kbit }) =>
      world.network.qdisc(machineOf(world, target), `tbf rate ${kbit}kbit burst 16kb latency 500ms`),
  },
];
