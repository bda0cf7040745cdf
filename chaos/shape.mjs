/**
 * The actors of the world and the paths of services. Names alone, the same for the same numbers, so that a schedule can
 * be made and printed without a world.
 */

/** The services of each agent on its own relays: name, kind of visitor, kind of lease, and settings in portal.yaml. */
const DIRECT = [
  { name: 'web', kind: 'http', lease: 'tls', config: ({ http }) => ({ mode: 'http', target: http }) },
  { name: 'auto', kind: 'http', lease: 'tls', config: ({ http }) => ({ target: http }) },
  { name: 'tls', kind: 'echo', lease: 'tls', config: ({ tcp }) => ({ mode: 'stream', target: tcp }) },
  {
    name: 'ws',
    kind: 'echo',
    lease: 'tls',
    config: ({ tcp }) => ({ mode: 'stream', target: tcp, carrier: 'ws' }),
  },
  { name: 'tcp', kind: 'echo', lease: 'tcp', config: ({ tcp }) => ({ mode: 'tcp', target: tcp }) },
  { name: 'udp', kind: 'udp', lease: 'udp', config: ({ udp }) => ({ mode: 'udp', target: udp }) },
];
const [WEB, , TLS, , TCP, UDP] = DIRECT;
/** Services over a chain, by the chain's name. */
const CHAINED = { two: [TLS, TCP, UDP], three: [WEB, TCP, UDP] };
/** Services of an agent whose relays come from a list. */
const POOLED = [WEB, TLS, TCP, UDP];

/**
 * `agents` use two relays each, in a ring. Each also has a chain of two, and the first agent one of three. `pools` more
 * have a list of all relays, and use all but one of them.
 */
export function shapeOf({ relays: count, agents: many, pools: few = 0 }) {
  const relays = namesOf('r', count);
  const [fixed, pools] = [namesOf('a', many), namesOf('p', few)];
  const at = (index) => relays[index % count];
  const relaysOf = (agent) => {
    const index = fixed.indexOf(agent);
    return index < 0 ? relays : [...new Set([at(index), at(index + 1)])];
  };
  /**
   * {name: [entry, …, exit]}: the exit is a relay that the agent also uses directly, the entry one that it reaches only
   * through the chain.
   */
  const chainsOf = (agent) => {
    const index = fixed.indexOf(agent);
    if (index < 0 || count < 2) return {};
    const two = [at(index + count - 1), at(index)];
    const three = [at(index + 1), at(index + count - 1), at(index)];
    return { two, ...(index === 0 && count > 2 && { three }) };
  };
  return {
    relays,
    agents: [...fixed, ...pools],
    pools,
    maxActive: Math.max(1, count - 1),
    relaysOf,
    chainsOf,
    servicesOf: (agent) => servicesOf(agent, pools.includes(agent), chainsOf(agent)),
    /** Neighbours in a chain. */
    relayPairs: pairsOf(fixed.flatMap((agent) => Object.values(chainsOf(agent)))),
  };
}

/** [{service, kind, lease, chain?, config}]. */
function servicesOf(agent, isPooled, chains) {
  if (isPooled) return POOLED.map((one) => ({ ...one, service: `${agent}-${one.name}` }));
  return [
    ...DIRECT.map((one) => ({ ...one, service: `${agent}-${one.name}` })),
    ...Object.keys(chains).flatMap((chain) =>
      CHAINED[chain].map((one) => ({
        ...one,
        service: `${agent}-${chain}-${one.name}`,
        chain,
        config: (ports) => ({ ...one.config(ports), via: chain }),
      })),
    ),
  ];
}

/** Each pair once, in either order. */
function pairsOf(chains) {
  const pairs = chains.flatMap((path) =>
    path
      .slice(1)
      .map((relay, index) => [relay, path[index]].toSorted((one, other) => (one < other ? -1 : 1))),
  );
  return [...new Map(pairs.map((pair) => [pair.join(), pair])).values()];
}

/**
 * The path from visitors to the agent: `links` are pairs of neighbours, `further` counts relays between entry and
 * agent.
 */
export function wayOf(agent, relays) {
  const links = relays.map((relay, index) => [relay, relays[index + 1] ?? agent]);
  return { agent, relays, links, further: relays.length - 1 };
}

function namesOf(letter, length) {
  return Array.from({ length }, (_, index) => `${letter}${index + 1}`);
}
