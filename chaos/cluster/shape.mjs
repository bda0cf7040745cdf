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

/**
 * `owners` have names of their own, always visited. `racers` have one each, race for new names, and try to take names of
 * the others.
 */
export function shapeOf({ agents, racers }) {
  const owners = namesOf('a', agents);
  const hostile = namesOf('b', racers);
  return {
    nodes: NODES,
    'node pairs': NODES.map((node, index) => [node, NODES[(index + 1) % NODES.length]]),
    databases: ['database'],
    takeovers: ['takeover'],
    owners,
    racers: hostile,
    agents: [...owners, ...hostile],
    servicesOf: (agent) =>
      hostile.includes(agent)
        ? [{ service: `${agent}-own`, name: `${agent}-own`, mode: 'http' }]
        : lanesOf(agent)
            .filter(({ at }) => at === undefined)
            .map(({ name, kind }) => ({ service: name, name, mode: kind === 'http' ? 'http' : 'stream' })),
  };
}

/** The lanes of an owner: `at` is the node that visitors connect to, undefined the balancer. */
export function lanesOf(agent) {
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
  return lanes.map((lane) => ({ ...lane, patienceMs: PATIENCE_MS }));
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

/** `services` of portal.yaml. */
export function configOf(services, { http, tcp }) {
  return Object.fromEntries(
    services.map(({ service, name, mode }) => [
      service,
      { name, mode, target: mode === 'http' ? http : tcp },
    ]),
  );
}

function namesOf(letter, length) {
  return Array.from({ length }, (_, index) => `${letter}${index + 1}`);
}
