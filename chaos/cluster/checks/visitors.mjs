import { clusterFaultOf } from '../faults.mjs';
import { TTL_MS } from '../shape.mjs';

/** Checks of what visitors saw. Each returns violations: {promise, at, name?, what}. */

/** Promise of cluster.md: new visitors wait in the queue and are served within 10 s. */
const SERVED_MS = 10_000;
/** With less than this between two moments at which a stream moved, it went on. */
const STALLED_MS = 6_000;
/** A request that fails later than this failed by a timeout: a deadline passed somewhere on its way. */
const BY_TIME_MS = 7_500;
/** A node learns of a change within this time, or is paused or cut off. */
const HEARD_MS = 1_500;

/** The balancer's name for no node: none passed its checks, which takes two of 3 s. */
const NO_NODE = '<NOSRV>';
const CHECKS_MS = 6_000;
/** Before a failure, which faults may have caused it. */
const BEFORE_MS = 12_000;

/**
 * A visitor never reaches the agent of an identity that does not have the name, or the port, nor gets bytes of another visitor.
 */
export function checkStrangers({ requests, streams, faults }, facts) {
  const found = [];
  for (const visit of [...requests, ...streams]) {
    const { owner, at, joinedAt, end } = visit;
    if (visit.wrong !== undefined || visit.how === 'wrong')
      found.push(violation('no stranger', visit, `wrong bytes: ${visit.wrong ?? visit.detail}`));
    if (owner === undefined) continue;
    const owns = (span) => span.owner === facts.identityOf(owner);
    const since = (from) => spansAt(visit, facts, from, joinedAt + HEARD_MS);
    const spans = since(joinedAt - HEARD_MS - facts.starvation.between(joinedAt - HEARD_MS, joinedAt));
    // A handshake that a pause of the node interrupted had begun before the pause.
    const began = faults.some(
      ({ injectedAt, healedAt }) => at <= injectedAt && joinedAt >= (healedAt ?? Infinity),
    );
    if ((began ? since(at - HEARD_MS) : spans).some(owns)) continue;
    // The former owner finishes what began in time, while nobody else has the name.
    const all = since(at);
    if (all.length > 0 && all.every(owns)) continue;
    // A node that cannot use the database has not heard of the release, until its time to live ends.
    const lately = since(joinedAt - TTL_MS);
    if (isDeaf(facts.entryOf(visit), joinedAt, faults) && lately.length > 0 && lately.every(owns)) continue;
    const present = spans.map((span) => facts.describe(span.owner)).join(', ') || 'nobody';
    found.push(
      violation('no stranger', visit, `${owner} answered at ${Math.round(end)}, and ${present} had it`),
    );
  }
  return found;
}

function isDeaf(node, at, faults) {
  return faults.some(
    ({ kind, target, injectedAt, healedAt = Infinity }) =>
      injectedAt <= at &&
      at <= healedAt + HEARD_MS &&
      (clusterFaultOf(kind).isDatabase ||
        ((kind.startsWith('cut-database') || kind === 'cut-off') && [target].flat().includes(node))),
  );
}

/** The spans of what a visit was for: a name, or a port of a node. */
function spansAt({ name, node, publicPort }, facts, from, until) {
  if (publicPort) return facts.spansOfPort(publicPort.kind, node, publicPort.port, from, until);
  return facts.spansOf(name, from, until).filter(({ kind }) => kind === 'tls');
}

/** Every visitor is served in time, unless a fault excuses it: {violations, counts}. */
export function checkServed({ requests, faults }, lanes, excuses, facts) {
  const violations = [];
  const counts = { requests: 0, failed: 0, excused: 0, starved: 0, slowestMs: 0 };
  for (const request of requests) {
    const { lane, at, end, error } = request;
    if (!lanes.has(lane)) continue;
    counts.requests++;
    const tookMs = end - at;
    if (error === undefined && tookMs <= SERVED_MS) {
      counts.slowestMs = Math.max(counts.slowestMs, tookMs);
      continue;
    }
    counts.failed++;
    if (isExcused(excuses, request, lanes, facts)) counts.excused++;
    else if (isStarved(request, faults, facts)) counts.starved++;
    else
      violations.push(
        violation(
          promiseOf(faults, at, end),
          request,
          `${lane}: ${error === undefined ? 'a visitor waited' : `a visitor was not served (${error})`}, ${Math.round(tookMs)} ms`,
        ),
      );
  }
  return { violations, counts };
}

/** Streams end as visitors want, and move all the time, unless a fault excuses it: {violations, counts}. */
export function checkStreams({ streams, moved, faults }, lanes, excuses, facts) {
  const violations = [];
  const breaking = excuses.filter((excuse) => excuse.streams);
  const counts = { streams: 0, broken: 0, bytes: 0 };
  for (const stream of streams) {
    if (!lanes.has(stream.lane)) continue;
    const { how, at, end, bytes, detail, lane } = stream;
    counts.streams++;
    counts.bytes += bytes;
    if (how === 'whole' || how === 'left') continue;
    counts.broken++;
    // One that never opened is a failed request.
    const fitting = bytes === 0 ? excuses : breaking;
    if (isExcused(fitting, stream, lanes, facts)) continue;
    if (bytes === 0 && isStarved(stream, faults, facts)) continue;
    violations.push(
      violation(
        promiseOf(faults, end, end),
        stream,
        `${lane}: a stream of ${bytes} bytes ended ${how} (${detail}) after ${Math.round(end - at)} ms`,
      ),
    );
  }
  for (const lane of lanes.values())
    violations.push(...stalls(lane, { streams, moved, faults }, excuses, facts, lanes));
  return { violations, counts };
}

/** The pauses within streams of a lane that are too long. */
function stalls(lane, { streams, moved, faults }, excuses, facts, lanes) {
  const moments = moved.filter((entry) => entry.lane === lane.id).map(({ at }) => at);
  return streams
    .filter((stream) => stream.lane === lane.id && stream.joinedAt !== undefined)
    .flatMap((stream) => {
      const own = [
        stream.joinedAt,
        ...moments.filter((at) => at > stream.joinedAt && at <= stream.end),
        stream.end,
      ];
      return own.slice(1).flatMap((at, index) => {
        const from = own[index];
        const stalled = at - from > STALLED_MS + facts.starvation.between(from, at);
        if (!stalled || isExcused(excuses, { ...stream, at: from, end: at }, lanes, facts)) return [];
        const text = `${lane.id}: a stream did not move for ${Math.round(at - from)} ms`;
        return [violation(promiseOf(faults, from, at), { ...stream, at: from }, text)];
      });
    });
}

/**
 * The machine did not run the processes: without that, the visit would have met its deadline, the agents that of their return, or
 * the balancer its checks.
 */
function isStarved(visit, faults, facts) {
  const { at, end } = visit;
  const wouldMeet = (from) => end - from <= SERVED_MS + facts.starvation.between(from, end);
  if (end - at > BY_TIME_MS) return wouldMeet(at);
  if (facts.entryOf(visit) === NO_NODE && facts.starvation.between(at - CHECKS_MS, end) > CHECKS_MS / 2)
    return true;
  // The name is free once its agent has not returned for long.
  return faults.some(
    ({ kind, target, injectedAt }) =>
      clusterFaultOf(kind).downs &&
      end - injectedAt > SERVED_MS &&
      facts.hadLease(visit.name, target, injectedAt) &&
      wouldMeet(injectedAt),
  );
}

/** Whether a fault explains what happened to a visit. */
function isExcused(excuses, visit, lanes, facts) {
  const agents = lanes.get(visit.lane)?.agents ?? [];
  return excuses.some(
    (excuse) =>
      visit.end >= excuse.from &&
      visit.at <= excuse.until &&
      (excuse.node === undefined || facts.touches(visit, excuse.node)) &&
      (excuse.entry === undefined || visit.node === excuse.entry) &&
      (excuse.pair === undefined || excuse.pair.every((node) => facts.touches(visit, node))) &&
      (excuse.agent === undefined || agents.includes(excuse.agent)),
  );
}

/** The promise that a failure between these moments breaks. */
function promiseOf(faults, from, until) {
  const near = faults.filter(
    ({ injectedAt, healedAt = Infinity }) => injectedAt <= until && healedAt >= from - BEFORE_MS,
  );
  const has = (test) => near.some(({ kind }) => test(kind));
  if (has((kind) => kind.endsWith('-stop'))) return 'a graceful stop loses nobody';
  if (has((kind) => kind.startsWith('replica'))) return 'visitors avoid a dead replica';
  if (has((kind) => kind === 'node-kill' || kind === 'cut-off')) return 'served within 10 s of a crash';
  if (has((kind) => kind.startsWith('database') || kind.startsWith('cut-database')))
    return 'visitors go on without the database';
  return 'visitors are served';
}

const violation = (promise, { name, at }, what) => ({ promise, at, name, what });
