import { pause } from '../../../bench/lib/wait.mjs';
import { LIMITS, RENEW_MS, TTL_MS } from '../shape.mjs';
import { hostnameOf } from '../race.mjs';
import { between } from './network.mjs';
import { silent } from './nodes.mjs';

/**
 * A node and the agent of a name at that node stop for so long that the name becomes free, and an agent with another identity
 * takes it. Then both continue. Their session still exists, so only the node itself can keep visitors from a stranger. With
 * `isCut`, the node does not hear from the database either until later, so it has nothing but its clock.
 */

const OPEN_MS = 8_000;
const TRY_EVERY_MS = 3_000;
/** Visitors come to the node meanwhile. */
const CUT_MS = 4_000;
const LEAST_MS = TTL_MS + RENEW_MS + LIMITS.graceMs + 4_000;

export const takeoverFaults = [
  {
    kind: 'takeover',
    what: 'a node and an agent sleep until another identity has the name, and wake',
    targets: ['takeover'],
    resource: 'process',
    weight: 3,
    durationMs: [LEAST_MS, LEAST_MS + 6_000],
    recoverMs: 30_000,
    losesNode: true,
    downs: true,
    isAlone: true,
    draw: ({ pick }) => ({ first: pick(['node', 'agent']), isCut: pick([true, false]) }),
    inject,
    excuses: (fault) => (fault.target === 'takeover' ? [] : silent(fault)),
  },
];

/** `fault.target` becomes the node. */
async function inject(world, fault) {
  const { race } = world;
  const [former, next] = race.racers;
  const name = `taken-${fault.id.replace('.', '-')}`;
  const unvisit = world.visitName(name);
  const opened = race.opened(former, name, OPEN_MS);
  race.want(former, name);
  const node = (await opened) ? await nodeOf(world, name) : undefined;
  if (node === undefined) {
    race.want(former, name, false);
    unvisit();
    fault.outcome = 'the agent did not get the name';
    return () => undefined;
  }
  fault.target = node.name;
  fault.name = name;
  const agent = world.agents.get(former);
  node.program.signal('SIGSTOP');
  agent.program.signal('SIGSTOP');
  const connect = fault.isCut
    ? await world.network.drop(node.machine, between(world.databaseBalancer.machine.address))
    : undefined;
  const trying = setInterval(() => {
    race.want(next, name, false);
    setTimeout(() => race.want(next, name), TRY_EVERY_MS / 3);
  }, TRY_EVERY_MS);
  const taken = race.opened(next, name, fault.durationMs).then((isOpen) => {
    clearInterval(trying);
    return isOpen;
  });
  return async () => {
    for (const one of fault.first === 'node' ? [node, agent] : [agent, node]) one.program.signal('SIGCONT');
    if (connect) await pause(CUT_MS).then(connect);
    fault.outcome = (await taken) ? 'taken' : 'not taken';
    setTimeout(() => {
      race.want(former, name, false);
      race.want(next, name, false);
      unvisit();
    }, OPEN_MS);
  };
}

/** The node that serves a name. */
async function nodeOf(world, name) {
  const [row] = await world.database.sql(
    'SELECT address FROM portal.leases JOIN portal.nodes USING (node) WHERE place = $1',
    [hostnameOf(name)],
  );
  return [...world.nodes.values()].find(({ nodeAddress }) => nodeAddress === row?.address);
}
