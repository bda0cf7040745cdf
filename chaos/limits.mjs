/**
 * Settings of relays: their peers, and limits just above what this world needs. A client that a relay counts twice soon
 * exceeds a limit, and no client may be rejected here.
 */

/** Concurrent visits of one lane: its waiting requests, and its stream (children/visitors.mjs). */
const VISITS_A_LANE = 14;
/** Old and new sessions side by side, after a kill. */
const TWICE = 2;
/** The most idle data connections that a relay keeps for one session (protocol/limits.ts, maxIdleDataConnections). */
const MOST_IDLE = 64;

export function relayOptions(shape, { peers, peerCa, flowIdleMs }) {
  const perPeer = peers.flatMap((url) => ['--peer', url]);
  const limits = Object.entries({ ...limitsOf(shape), flowIdleMs });
  return [
    ...perPeer,
    ...(peers.length > 0 ? ['--peer-ca', peerCa] : []),
    ...limits.flatMap(([name, value]) => ['--limit', `${name}=${value}`]),
  ];
}

function limitsOf(shape) {
  const leases = Math.max(...shape.agents.map((agent) => leasesOf(shape, agent)));
  const all = shape.agents.reduce((sum, agent) => sum + leasesOf(shape, agent), 0);
  const chained =
    (shape.chainsOf(shape.agents[0]).two ? 3 : 0) + (shape.chainsOf(shape.agents[0]).three ? 3 : 0);
  const hops = Math.max(1, TWICE * chained * VISITS_A_LANE + MOST_IDLE);
  return {
    maxLeasesPerIdentity: leases,
    // Each instance of an agent has its own session. Sessions of killed agents remain until the relay detects the
    // kill.
    maxSessionsPerIdentity: 4,
    maxVisitorsPerIdentity: TWICE * leases * VISITS_A_LANE,
    maxConnectionsPerAddress: TWICE * all * VISITS_A_LANE,
    maxFlowsPerLease: 16,
    maxHopConnectionsPerIdentity: hops,
    maxHopConnections: shape.agents.length * hops,
  };
}

/** The most leases that one agent has on one relay. */
function leasesOf(shape, agent) {
  const services = shape.servicesOf(agent);
  const direct = services.filter(({ chain }) => chain === undefined).length;
  const entries = Object.entries(shape.chainsOf(agent)).map(([chain, [entry]]) => ({
    entry,
    count: services.filter((one) => one.chain === chain).length,
  }));
  const counts = shape.relays.map((relay) => {
    const chained = entries.filter(({ entry }) => entry === relay).reduce((sum, { count }) => sum + count, 0);
    return chained + (shape.relaysOf(agent).includes(relay) ? direct : 0);
  });
  return Math.max(...counts);
}
