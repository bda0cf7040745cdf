/** The actors, names and limits of the cluster world. Names alone, so that a schedule can be printed without a world. */

/** Longer than any stream of a visitor lives, so that a node that stops gracefully loses none. */
export const DRAIN_MS = 30_000;
/** Visitors wait longer than they should have to, so that the time is measured. */
const PATIENCE_MS = 20_000;
const STREAM_LIFE_MS = [8_000, 24_000];
/** A node's time to live (relay/postgres/link.ts), and how often it renews itself. */
export const TTL_MS = 8_000;
export const RENEW_MS = 2_000;
export const LIMITS = {
  /** A name that was held for less stays reserved for this long after its last use. */
  reserveAfterMs: 12_000,
  /** Time that leases wait for the agent. */
  graceMs: 8_000,
};

const NODES = ['n1', 'n2', 'n3'];

/** Few, so that a port is soon given to another name. */
export const PORTS = { tcp: '20000-20019', udp: '21000-21009' };

/**
 * `owners` have names and ports of their own, always visited. `racers` have one name each, race for new names and ports, and try
 * to take names of the others. `replicas` have one identity, and serve the same names.
 */
export function shapeOf({ agents, racers, replicas = 0 }) {
  const owners = namesOf('a', agents);
  const hostile = namesOf('b', racers);
  const same = namesOf('r', replicas);
  return {
    nodes: NODES,
    'node pairs': NODES.map((node, index) => [node, NODES[(index + 1) % NODES.length]]),
    databases: ['database'],
    takeovers: ['takeover'],
    owners,
    racers: hostile,
    replicas: same,
    'replica sets': [same],
    agents: [...owners, ...hostile, ...same],
    servicesOf(agent) {
      if (hostile.includes(agent)) return [serviceOf(`${agent}-own`, 'http')];
      if (same.includes(agent))
        return REPLICATED.map(({ name, mode, policy }) => serviceOf(name, mode, policy));
      return [
        serviceOf(`${agent}-web`, 'http'),
        serviceOf(`${agent}-tls`, 'stream'),
        serviceOf(`${agent}-tcp`, 'tcp'),
        serviceOf(`${agent}-udp`, 'udp'),
      ];
    },
    /** What racers must never get. */
    get ownedNames() {
      return [...owners, ...same.slice(0, 1)].flatMap((agent) =>
        this.servicesOf(agent).map(({ name }) => name),
      );
    },
    /** What visitors visit always, beside public ports. */
    lanes: [
      ...owners.flatMap((agent) => lanesOf(agent)),
      ...(replicas > 0 ? REPLICATED.flatMap((name) => replicatedLanesOf(name)) : []),
    ],
  };
}

const serviceOf = (name, mode, replicas) => ({ service: name, name, mode, ...(replicas && { replicas }) });

/** The names of all replicas. */
const REPLICATED = [
  { name: 'r-spread', mode: 'http', policy: 'spread' },
  { name: 'r-failover', mode: 'stream', policy: 'failover' },
];
/** An agent that stops lets visitors finish for 10 s. */
const REPLICA_STREAM_LIFE_MS = [2_000, 7_000];

/** The lanes of an owner: `at` is the node that visitors connect to, undefined the balancer. */
function lanesOf(agent) {
  const [web, tls] = [`${agent}-web`, `${agent}-tls`];
  const lanes = [
    { id: `${web}@lb`, name: web, kind: 'http', at: undefined, everyMs: 1_500 },
    { id: `${tls}@lb`, name: tls, kind: 'echo', at: undefined, everyMs: 1_500, lifeMs: STREAM_LIFE_MS },
    ...NODES.map((at) => ({
      id: `${web}@${at}`,
      name: web,
      kind: 'http',
      at,
      everyMs: 3_000,
      streams: false,
    })),
  ];
  return lanes.map((lane) => ({ ...lane, agents: [agent], patienceMs: PATIENCE_MS }));
}

/** The lanes of a replicated name. */
function replicatedLanesOf({ name, mode, policy }) {
  const visits =
    mode === 'http'
      ? { kind: 'http', streams: false, everyMs: 1_000 }
      : { kind: 'echo', lifeMs: REPLICA_STREAM_LIFE_MS, everyMs: 1_500 };
  return [undefined, 'n1'].map((at) => ({
    id: `${name}@${at ?? 'lb'}`,
    name,
    at,
    policy,
    agents: ['r1', 'r2'],
    patienceMs: PATIENCE_MS,
    ...visits,
  }));
}

/** Lanes of a name that agents race for. */
export function directLanesOf(name) {
  return [undefined, ...NODES].map((at) => ({
    id: `${name}@${at ?? 'lb'}`,
    name,
    kind: 'http',
    at,
    everyMs: 2_000,
    streams: false,
  }));
}

/** The lane of a public port that an agent was given at a node. */
export function portLaneOf({ name, agent, at, kind, port }) {
  return {
    id: `${name}@${at}:${port}`,
    name,
    agents: [agent],
    at,
    kind: kind === 'tcp' ? 'echo' : 'udp',
    publicPort: { kind, port },
    named: true,
    everyMs: 2_000,
    lifeMs: STREAM_LIFE_MS,
    patienceMs: PATIENCE_MS,
  };
}

/** `services` of portal.yaml. */
export function configOf(services, ports) {
  const target = { http: ports.http, stream: ports.tcp, tcp: ports.namedTcp, udp: ports.namedUdp };
  return Object.fromEntries(
    services.map(({ service, ...rest }) => [service, { ...rest, target: target[rest.mode] }]),
  );
}

function namesOf(letter, length) {
  return Array.from({ length }, (_, index) => `${letter}${index + 1}`);
}
