import { METRICS_PORT, RELAY_PORT } from './actors.mjs';
import { now } from './lib/now.mjs';

/**
 * Compares the counts in the relays' /metrics with the actors in the world. Sessions and leases are known exactly
 * whenever no fault is active. Counts of visitors fluctuate, and have timeouts.
 */

/**
 * Half-open connections of visitors end within this time (protocol/limits.ts, halfClosedMs). The relay checks
 * periodically.
 */
const HALF_CLOSED_MS = 65_000;
/**
 * The relay detects a lost session after this time (2.5 heartbeats, and one more). Its leases then have their grace
 * period.
 */
const DETECTED_MS = 20_000;
const GRACE_MS = 30_000;
/** A UDP visitor starts a new flow after this many requests, at one a second (visitors/datagrams.mjs). */
const QUESTIONS_A_FLOW_MS = 20_000;
/** Probes, and changes between two readings. */
const PASSING = 3;
const CHECK_MS = 500;

const KINDS = ['tls', 'tcp', 'udp'];

/** Expected counts on `relay`: sessions, leases by kind, and ports. */
export function expectedOn(world, shape, relay) {
  const open = world.lanes.filter(({ relays, isOpen = true }) => relays[0] === relay && isOpen);
  const leases = Object.fromEntries(
    KINDS.map((kind) => [kind, open.filter((lane) => lane.leaseKind === kind).length]),
  );
  const portsOf = (kind) => open.filter((lane) => lane.leaseKind === kind).map(({ port }) => port);
  const sessions = shape.agents.reduce((sum, agent) => {
    const pool = world.pools.get(agent);
    const on = pool ? pool.active : shape.relaysOf(agent);
    return sum + Number(on.includes(relay)) + chainSessions(shape.chainsOf(agent), relay);
  }, 0);
  return {
    sessions,
    leases,
    tcpPorts: [RELAY_PORT, METRICS_PORT, ...portsOf('tcp')],
    udpPorts: [RELAY_PORT, ...portsOf('udp')],
  };
}

/** One for each chain at the entry. At each further relay, one for each path from there to the agent. */
function chainSessions(chains, relay) {
  const ways = Object.values(chains).flatMap((path) => {
    const [entry, ...hops] = path;
    const further = hops.map((hop, index) => ({ at: hop, key: `by ${hops.slice(index).join()}` }));
    return [{ at: entry, key: path.join() }, ...further];
  });
  return new Set(ways.filter(({ at }) => at === relay).map(({ key }) => key)).size;
}

/** Waits until relays count the expected numbers after `round`, up to the timeout. Resolves with the wrong counts. */
export async function countsSettled(world, shape, { watch, flowIdleMs, round: { patience } }) {
  const until = now() + DETECTED_MS * patience;
  for (;;) {
    const [metrics, visits] = [await world.metrics(), await world.visits()];
    const wrong = wrongCounts(world, shape, { metrics, visits, watch, flowIdleMs, patience });
    if (wrong.length === 0 || now() > until) return wrong;
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
  }
}

/**
 * Counts that differ from the expected ones while visitors come and go: [{where, what}]. `patience` multiplies timeouts
 * on a busy machine. `watch` knows the visits that failed recently, which relays may still count.
 */
function wrongCounts(world, shape, { metrics, visits, watch, flowIdleMs, patience }) {
  return shape.relays.flatMap((relay) => {
    const counted = metrics[relay];
    if (counted.error !== undefined) return [{ where: relay, what: `no metrics (${counted.error})` }];
    const found = exactCounts(world, shape, relay, counted, patience);
    const lanes = world.lanes.filter(({ relays }) => relays[0] === relay);
    const connected = lanes.filter((lane) => lane.leaseKind !== 'udp');
    const since = now() - HALF_CLOSED_MS * patience;
    const bad = connected.reduce((sum, lane) => sum + watch.failedSince(lane, since), 0);
    const open = connected.reduce((sum, { id }) => sum + (visits[id] ?? 0), 0);
    most(found, relay, 'visitors', visitorsOf(counted), open + bad + PASSING);
    const flows = Math.ceil((flowIdleMs * patience) / QUESTIONS_A_FLOW_MS) + 2;
    most(found, relay, 'flows', counted.flows, flows * (lanes.length - connected.length));
    return found;
  });
}

/**
 * The same after all visitors left. `flows` says whether UDP flows have expired, `spare` whether surplus idle data
 * connections have.
 */
export function leftCounts(world, shape, { metrics, before, flows, spare }) {
  return shape.relays.flatMap((relay) => {
    const counted = metrics[relay];
    if (counted.error !== undefined) return [{ where: relay, what: `no metrics (${counted.error})` }];
    const found = exactCounts(world, shape, relay, counted, 0);
    most(found, relay, 'visitors', visitorsOf(counted), 0);
    most(found, relay, 'tickets for data connections', counted.tickets, 0);
    most(found, relay, 'tickets for hops', counted.hop_tickets, 0);
    most(found, relay, 'connections without a first byte', counted.connections_unrouted, 0);
    // An agent probes its own services periodically, with a UDP flow.
    const proven = world.lanes.filter(
      ({ relays, leaseKind }) => leaseKind === 'udp' && relays.join() === relay,
    );
    if (flows) most(found, relay, 'flows', counted.flows, proven.length);
    if (spare) most(found, relay, 'forwarded connections', counted.hops, before[relay].hops);
    return found;
  });
}

function exactCounts(world, shape, relay, counted, patience) {
  const found = [];
  const expected = expectedOn(world, shape, relay);
  const lingering = [...world.pools.values()].filter((pool) => lingers(pool, relay, patience));
  most(found, relay, 'sessions', counted.sessions, expected.sessions + lingering.length, expected.sessions);
  for (const kind of KINDS) {
    const up = lingering.reduce((sum, pool) => sum + pool.leasesOf(kind), expected.leases[kind]);
    most(found, relay, `leases (${kind})`, counted[`leases{kind="${kind}"}`], up, expected.leases[kind]);
  }
  const away = lingering.reduce((sum, pool) => sum + pool.leasesOf(), 0);
  most(found, relay, 'leases without an agent', counted.leases_away, away);
  most(found, relay, 'handshakes', counted.handshakes, 0);
  for (const [series, count] of Object.entries(counted))
    if (count > 0 && /^rejected_total|="limit_exceeded"/.test(series))
      found.push({ where: relay, what: `${series} is ${count}: a visitor or agent was rejected` });
  return found;
}

/** Resources that an agent could not release, because the relay or the path failed. The relay releases them later. */
function lingers(pool, relay, patience) {
  const at = pool.leftAt(relay);
  return at !== undefined && now() - at < (DETECTED_MS + GRACE_MS) * patience;
}

const visitorsOf = (counted) =>
  counted['visitors{kind="tls"}'] + counted['visitors{kind="tcp"}'] + counted.visitors_waiting;

function most(found, where, what, count, mostly, least = 0) {
  if (count > mostly || count < least)
    found.push({
      where,
      what: `counts ${count} ${what}, not ${least === mostly ? mostly : `${least} to ${mostly}`}`,
    });
}
