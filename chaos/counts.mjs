import { METRICS_PORT, RELAY_PORT } from './actors.mjs';
import { now } from './lib/now.mjs';

/**
 * What relays count, as their /metrics say, held against who is in the world. Sessions and leases are known exactly at
 * any time that nothing befalls anybody; what visitors are counted as comes and goes, and has bounds in time.
 */

/** Half-open connections of visitors end within this (protocol/limits.ts, halfClosedMs), and are looked for now and then. */
const HALF_CLOSED_MS = 65_000;
/** A session that could not say goodbye is found out (2.5 heartbeats, and one more), and its leases have their grace. */
const FOUND_OUT_MS = 20_000;
const GRACE_MS = 30_000;
/** A visitor of UDP is another flow after so many questions, of one a second (visitors/datagrams.mjs). */
const QUESTIONS_A_FLOW_MS = 20_000;
/** Probes, and what is between two readings. */
const PASSING = 3;
const LOOK_MS = 500;

const KINDS = ['tls', 'tcp', 'udp'];

/** What there is to be on `relay`: sessions, leases by kind, and ports. */
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

/** At the entry one each; at each further relay one for each way on from there to the agent. */
function chainSessions(chains, relay) {
  const ways = Object.values(chains).flatMap((path) => {
    const [entry, ...hops] = path;
    const further = hops.map((hop, index) => ({ at: hop, key: `by ${hops.slice(index).join()}` }));
    return [{ at: entry, key: path.join() }, ...further];
  });
  return new Set(ways.filter(({ at }) => at === relay).map(({ key }) => key)).size;
}

/** Waits until relays count what they should after `round`, for as long as that may take; what they count wrong then. */
export async function countsSettled(world, shape, { watch, flowIdleMs, round: { patience } }) {
  const until = now() + FOUND_OUT_MS * patience;
  for (;;) {
    const [metrics, visits] = [await world.metrics(), await world.visits()];
    const wrong = wrongCounts(world, shape, { metrics, visits, watch, flowIdleMs, patience });
    if (wrong.length === 0 || now() > until) return wrong;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * What is counted otherwise than it should be while visitors come and go: [{where, what}]. `patience` tells how much longer
 * things take just now, and `watch` whose visits ended badly a while ago: those may be counted still.
 */
function wrongCounts(world, shape, { metrics, visits, watch, flowIdleMs, patience }) {
  return shape.relays.flatMap((relay) => {
    const counted = metrics[relay];
    if (counted.error !== undefined) return [{ where: relay, what: `no metrics (${counted.error})` }];
    const found = exactCounts(world, shape, relay, counted, patience);
    const lanes = world.lanes.filter(({ relays }) => relays[0] === relay);
    const connected = lanes.filter((lane) => lane.leaseKind !== 'udp');
    const since = now() - HALF_CLOSED_MS * patience;
    const bad = connected.reduce((sum, lane) => sum + watch.endedBadly(lane, since), 0);
    const open = connected.reduce((sum, { id }) => sum + (visits[id] ?? 0), 0);
    most(found, relay, 'visitors', visitorsOf(counted), open + bad + PASSING);
    const flows = Math.ceil((flowIdleMs * patience) / QUESTIONS_A_FLOW_MS) + 2;
    most(found, relay, 'flows', counted.flows, flows * (lanes.length - connected.length));
    return found;
  });
}

/**
 * The same once nobody visits any more. `flows` tells whether their time is over, `spare` whether that of connections that
 * are kept ready for more visitors than come.
 */
export function leftCounts(world, shape, { metrics, before, flows, spare }) {
  return shape.relays.flatMap((relay) => {
    const counted = metrics[relay];
    if (counted.error !== undefined) return [{ where: relay, what: `no metrics (${counted.error})` }];
    const found = exactCounts(world, shape, relay, counted, 0);
    most(found, relay, 'visitors', visitorsOf(counted), 0);
    most(found, relay, 'tickets for data connections', counted.tickets, 0);
    most(found, relay, 'tickets for hops', counted.hop_tickets, 0);
    most(found, relay, 'connections that said nothing yet', counted.connections_unrouted, 0);
    // An agent proves its own now and then, by a flow.
    const proven = world.lanes.filter(
      ({ relays, leaseKind }) => leaseKind === 'udp' && relays.join() === relay,
    );
    if (flows) most(found, relay, 'flows', counted.flows, proven.length);
    if (spare) most(found, relay, 'connections passed on', counted.hops, before[relay].hops);
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
      found.push({ where: relay, what: `${series} is ${count}: somebody was refused` });
  return found;
}

/** What an agent left could not be given back, where relay or way failed; the relay finds out. */
function lingers(pool, relay, patience) {
  const at = pool.leftAt(relay);
  return at !== undefined && now() - at < (FOUND_OUT_MS + GRACE_MS) * patience;
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
