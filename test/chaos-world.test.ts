import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

/** The parts of the chaos harness that know the world: where services are, and what relays should count. */

interface Lease {
  readonly service: string;
  readonly relay: string;
  readonly phase: string;
}
interface Lane {
  readonly id: string;
  readonly relays: readonly string[];
  isOpen?: boolean;
  readonly leaseKind: string;
  readonly port: number;
}
interface Pool {
  readonly active: readonly string[];
  readonly moves: readonly { relay: string }[];
  phase: (lease: Lease) => void;
  problem: () => string | undefined;
  started: () => void;
}
interface Shape {
  readonly agents: readonly string[];
  readonly relayPairs: readonly (readonly [string, string])[];
  chainsOf: (this: void, agent: string) => Record<string, readonly string[]>;
  relaysOf: (this: void, agent: string) => readonly string[];
}

async function load<T>(file: string): Promise<T> {
  // Imported through a variable, because these files are not TypeScript.
  const url = pathToFileURL(`chaos/${file}`).href;
  return (await import(url)) as T;
}

const { shapeOf } = await load<{ shapeOf: (this: void, counts: object) => Shape }>('shape.mjs');
const { Pool } = await load<{ Pool: new (options: object) => Pool }>('pool.mjs');
const { expectedOn } = await load<{
  expectedOn: (
    this: void,
    world: object,
    shape: Shape,
    relay: string,
  ) => { sessions: number; leases: Record<string, number>; tcpPorts: number[] };
}>('counts.mjs');

it('an agent reaches the entry of its chain of two only through the chain', () => {
  const shape = shapeOf({ relays: 3, agents: 3, pools: 1 });
  for (const agent of ['a1', 'a2', 'a3']) {
    const [entry, exit] = shape.chainsOf(agent)['two']!;
    expect(shape.relaysOf(agent)).not.toContain(entry);
    expect(shape.relaysOf(agent)).toContain(exit);
  }
  expect(shape.chainsOf('a1')['three']).toHaveLength(3);
  expect(shape.chainsOf('p1')).toEqual({});
  expect(shape.relayPairs.map((pair) => pair.join())).toEqual(
    expect.arrayContaining(['r1,r2', 'r1,r3', 'r2,r3']),
  );
});

function laneOf(relays: string[], leaseKind: string, port = 1): Lane {
  return { id: '', relays, leaseKind, port };
}

it('counts the expected sessions and leases, chains included', () => {
  const shape = shapeOf({ relays: 3, agents: 1 });
  const lanes = [
    laneOf(['r2'], 'tls'),
    laneOf(['r2', 'r3', 'r1'], 'tcp', 20_001),
    laneOf(['r3', 'r1'], 'udp'),
  ];
  const world = { lanes, pools: new Map() };
  const sessions = ['r1', 'r2', 'r3'].map((relay) => expectedOn(world, shape, relay).sessions);
  // On r1 directly, and as the exit of both chains in one session. On r3 as the entry of one chain and the middle of
  // the other.
  expect(sessions).toEqual([2, 2, 2]);
  expect(expectedOn(world, shape, 'r2')).toMatchObject({ leases: { tls: 1, tcp: 1, udp: 0 } });
  expect(expectedOn(world, shape, 'r2').tcpPorts).toContain(20_001);
});

/** A pool of one service on two of three relays. */
function pooled(): {
  pool: Pool;
  say: (relay: string, phase: string) => void;
  restart: () => void;
  reported: string[];
} {
  const phases = new Map<string, string>();
  const reported: string[] = [];
  const agent = {
    name: 'p1',
    phaseOf: (service: string, relay: string) => phases.get(`${service} ${relay}`),
  };
  const pool = new Pool({
    agent,
    relays: new Map(['r1', 'r2', 'r3'].map((name) => [`https://${name}`, name])),
    services: [{ service: 'web', lease: 'tls' }],
    maxActive: 2,
    laneOf: ({ relay }: Lease): object => ({ id: relay, relays: [relay.slice('https://'.length)] }),
    open: ({ relays }: Lane) => void reported.push(`open ${relays[0]}`),
    shut: ({ relays }: Lane) => void reported.push(`shut ${relays[0]}`),
  });
  return {
    pool,
    reported,
    say: (name, phase) => {
      const lease = { service: 'web', relay: `https://${name}`, phase };
      phases.set(`web ${lease.relay}`, phase);
      pool.phase(lease);
    },
    restart: () => {
      phases.clear();
      pool.started();
    },
  };
}

it('a pool: visitors go where a service is ready, and move away where it drains', () => {
  const { pool, say, reported } = pooled();
  expect(pool.problem()).toBe('web is ready on 0 of 2 relays');
  say('r1', 'ready');
  say('r2', 'ready');
  expect(pool.problem()).toBeUndefined();
  say('r2', 'retrying');
  expect(pool.problem()).toBe('web is ready on 1 of 2 relays');
  expect(pool.active).toEqual(['r1', 'r2']);
  say('r3', 'ready');
  say('r2', 'draining');
  say('r2', 'closed');
  expect(pool.problem()).toBeUndefined();
  expect(reported).toEqual(['open r1', 'open r2', 'open r3', 'shut r2']);
  expect(pool.moves).toMatchObject([{ relay: 'r2' }]);
});

it('a restarted agent in a pool: visitors leave its old relay once it is ready on another', () => {
  const { pool, say, restart, reported } = pooled();
  for (const relay of ['r1', 'r2']) say(relay, 'ready');
  restart();
  say('r2', 'ready');
  expect(pool.moves).toEqual([]);
  say('r3', 'ready');
  expect(reported).toEqual(['open r1', 'open r2', 'open r3', 'shut r1']);
  expect(pool.moves).toMatchObject([{ relay: 'r1' }]);
});
