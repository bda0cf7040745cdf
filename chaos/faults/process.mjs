import { actorOf, freeze } from './actors.mjs';

/** Faults of processes: frozen, killed, stopped for a while. */

const relaysAndAgents = { relay: ['relay'], agent: ['agent'] };

const frozen = (role) => ({
  kind: `${role}-freeze`,
  what: `SIGSTOP, then SIGCONT, of ${role === 'relay' ? 'a relay' : 'an agent'}`,
  targets: relaysAndAgents[role],
  resource: 'process',
  weight: 4,
  durationMs: [1_000, 7_000],
  limitMs: 12_000,
  async inject(world, fault) {
    return freeze(actorOf(world, fault.target).program);
  },
});

const kill = (role) => ({
  kind: `${role}-kill`,
  what: `kill -9 of ${role === 'relay' ? 'a relay' : 'an agent'}, which restarts`,
  targets: relaysAndAgents[role],
  resource: 'process',
  weight: 4,
  /** Until it restarts. */
  durationMs: [0, 3_000],
  limitMs: 20_000,
  breaksStreams: true,
  /** One relay and one agent run for the whole time, so that their memory can be compared. */
  sparesFirst: true,
  async inject(world, fault) {
    const one = actorOf(world, fault.target);
    await one.kill();
    return () => one.start();
  },
});

export const processFaults = [
  frozen('relay'),
  frozen('agent'),
  kill('relay'),
  kill('agent'),
  {
    kind: 'agent-sleep',
    what: 'an agent sleeps for longer than the heartbeat timeout of relays, sometimes for longer than they keep its leases',
    targets: ['agent'],
    resource: 'process',
    weight: 0.6,
    durationMs: [14_000, 36_000],
    limitMs: 20_000,
    async inject(world, fault) {
      return freeze(actorOf(world, fault.target).program);
    },
  },
];
