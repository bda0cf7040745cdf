import { actorOf, freeze } from './actors.mjs';

/** What happens to processes: frozen, killed, put to sleep. */

const relaysAndAgents = { relay: ['relay'], agent: ['agent'] };

const frozen = (role) => ({
  kind: `${role}-freeze`,
  what: `SIGSTOP, then SIGCONT, of ${role === 'relay' ? 'a relay' : 'an agent'}`,
  targets: relaysAndAgents[role],
  resource: 'process',
  weight: 4,
  durationMs: [1_000, 7_000],
  boundMs: 12_000,
  async inject(world, fault) {
    return freeze(actorOf(world, fault.target).program);
  },
});

const kill = (role) => ({
  kind: `${role}-kill`,
  what: `kill -9 of ${role === 'relay' ? 'a relay' : 'an agent'}, which is started again`,
  targets: relaysAndAgents[role],
  resource: 'process',
  weight: 4,
  /** Until it is started again. */
  durationMs: [0, 3_000],
  boundMs: 20_000,
  breaksStreams: true,
  /** One relay and one agent live through the whole run, so that their memory can be compared. */
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
    what: 'an agent sleeps for longer than relays wait for a sign of life, now and then for longer than they keep its leases',
    targets: ['agent'],
    resource: 'process',
    weight: 0.6,
    durationMs: [14_000, 36_000],
    boundMs: 20_000,
    async inject(world, fault) {
      return freeze(actorOf(world, fault.target).program);
    },
  },
];
