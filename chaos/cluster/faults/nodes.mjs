import { now } from '../../lib/now.mjs';
import { DRAIN_MS, RENEW_MS, TTL_MS } from '../shape.mjs';

/** Faults of the processes of nodes and agents. */

const node = { targets: ['node'], resource: 'process', downs: true };
/** Until the balancer uses a node again, and the other nodes know it. */
export const BACK_MS = 6_000;
export const AT_ONCE_MS = 100;

/** A node that cannot serve: only who connects to it itself notices. */
export const closed = ({ target, injectedAt, healedAt }) => [
  { from: injectedAt, until: healedAt + BACK_MS, entry: target },
];

/** A node that does not respond: everything on a way through it waits, and may time out. */
export const silent = ({ target, injectedAt, healedAt }) => [
  { from: injectedAt, until: healedAt + BACK_MS, node: target, streams: true },
];

/** kill -9 of `one`. Returns how it starts again. */
export async function killed(one, fault) {
  await one.kill();
  fault.happenedAt = now();
  return () => one.start();
}

export const nodeFaults = [
  {
    ...node,
    kind: 'node-kill',
    what: 'kill -9 of a node, which restarts',
    weight: 5,
    durationMs: [0, 14_000],
    recoverMs: 20_000,
    inject: (world, fault) => killed(world.nodes.get(fault.target), fault),
    excuses: ({ target, injectedAt, happenedAt, healedAt }) => [
      { from: injectedAt - AT_ONCE_MS, until: happenedAt + AT_ONCE_MS, node: target, streams: true },
      { from: injectedAt, until: healedAt + BACK_MS, entry: target },
    ],
  },
  {
    ...node,
    kind: 'node-stop',
    what: 'SIGTERM of a node, which drains, ends, and starts again',
    weight: 3,
    durationMs: [0, 2_000],
    recoverMs: 20_000,
    async inject(world, fault) {
      const one = world.nodes.get(fault.target);
      fault.how = await one.stop(DRAIN_MS + 10_000);
      fault.happenedAt = now();
      return () => one.start();
    },
    excuses: closed,
  },
  {
    ...node,
    kind: 'node-freeze',
    what: 'SIGSTOP, then SIGCONT, of a node, for less than its time to live',
    weight: 2,
    durationMs: [500, TTL_MS - RENEW_MS - 1_500],
    recoverMs: 20_000,
    inject: (world, { target }) => frozen(world.nodes.get(target)),
    excuses: ({ target, injectedAt, healedAt }) => [
      { from: injectedAt, until: healedAt + BACK_MS, node: target },
    ],
  },
  {
    ...node,
    kind: 'node-sleep',
    what: 'the same, for longer than its time to live',
    weight: 4,
    durationMs: [TTL_MS + RENEW_MS + 1_000, TTL_MS + RENEW_MS + 6_000],
    recoverMs: 25_000,
    losesNode: true,
    inject: (world, { target }) => frozen(world.nodes.get(target)),
    excuses: silent,
  },
  {
    ...node,
    kind: 'node-clock',
    what: 'the clock of a node jumps by an hour or so, and back',
    resource: 'clock',
    downs: false,
    weight: 3,
    durationMs: [3_000, 10_000],
    recoverMs: 15_000,
    needs: 'faketime',
    draw: ({ pick, between }) => ({ seconds: pick([-1, 1]) * between(120, 7_200) }),
    async inject(world, { target, seconds }) {
      world.nodes.get(target).setClock(seconds);
      return () => world.nodes.get(target).setClock(0);
    },
    excuses: () => [],
  },
  {
    kind: 'agent-kill',
    what: 'kill -9 of an agent, which restarts',
    targets: ['owner'],
    resource: 'process',
    weight: 2,
    durationMs: [0, 3_000],
    recoverMs: 20_000,
    async inject(world, { target }) {
      const one = world.agents.get(target);
      await one.kill();
      return () => one.start();
    },
    excuses: ({ target, injectedAt, healedAt }) => [
      { from: injectedAt - AT_ONCE_MS, until: healedAt + 20_000, agent: target, streams: true },
    ],
  },
];

/** SIGSTOP. Resolves with what sends SIGCONT. */
export async function frozen(actor) {
  actor.program.signal('SIGSTOP');
  return () => actor.program.signal('SIGCONT');
}
