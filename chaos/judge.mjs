import { limitOf, faultOf, touches } from './faults/all.mjs';
import { wayOf } from './shape.mjs';

/**
 * Compares what visitors saw with the injected faults. Pure functions. A round's faults have `injectedAt` and
 * `healedAt`. The round has `endedAt`, and `healthyAt` by lane, since when the lane was seen healthy. All are
 * milliseconds of one clock.
 */

/** Faults begin and end slightly earlier and later than recorded. */
const SLACK_MS = 50;
/** A request that fails after this time failed by a timeout, not by a response. */
const BY_TIME_MS = 7_500;
/** How long streams may continue after their service left a relay. */
const DRAIN_MS = 10_000;
/**
 * With more runnable processes per processor than this, a timeout is no finding. Timeouts are multiplied by this
 * factor.
 */
const BUSY = 2;

/**
 * Violations among requests of one lane: failed requests that no fault of a round excuses. Also how long each round's
 * faults took until the lane recovered: {violations, recoveries: [{round, lane, tookMs, limitMs}], starved}.
 */
export function judgeRequests(lane, rounds, requests) {
  const violations = requests
    .filter(({ wrong }) => wrong !== undefined)
    .map(({ at, wrong }) => violation(lane, at, `a wrong response: ${wrong}`));
  const recoveries = [];
  const excuses = rounds.flatMap((round) => excuseOf(lane, round) ?? []);
  for (const failed of requests.filter(({ error }) => error !== undefined)) {
    if (!isExcused(excuses, failed) && !isStarved(failed))
      violations.push(violation(lane, failed.at, `a request failed (${failed.error})`));
  }
  for (const { round, healedAt, until } of excuses) {
    // A lane of a pool that was not open yet, or whose service moved, which is judged separately.
    if (round.open && !round.open.has(lane.id)) continue;
    const healthyAt = round.healthyAt?.[lane.id] ?? Infinity;
    if (healthyAt > until)
      violations.push(violation(lane, healedAt, `did not recover within ${Math.round(until - healedAt)} ms`));
    else
      recoveries.push({ round, lane, tookMs: Math.max(0, healthyAt - healedAt), limitMs: until - healedAt });
  }
  const starved = requests.filter(
    (request) => request.error !== undefined && isStarved(request) && !isExcused(excuses, request),
  );
  return { violations, recoveries, starved: starved.length };
}

/** Once a round's lanes were seen healthy, they stay healthy. */
const isExcused = (excuses, { at, end }) =>
  excuses.some(({ round, from, until }) => end >= from && at <= Math.min(until, round.endedAt));

/** The request timed out on a machine where everything is slow. */
const isStarved = ({ at, end, load = 0 }) => load > BUSY && end - at >= BY_TIME_MS;

/** Reports how a lane's stream ended, unless that is allowed. `moves` are those of pools. */
export function judgeStream(lane, rounds, stream, moves = []) {
  const { at, end, how, detail, bytes } = stream;
  if (how === 'whole' || how === 'left') return undefined;
  if (how === 'wrong') return violation(lane, end, `a stream got wrong bytes (${detail})`);
  const excuses = rounds.flatMap((round) => excuseOf(lane, round) ?? []);
  // A stream that never opened counts as a failed request.
  if (bytes === 0 && (isExcused(excuses, stream) || isStarved(stream))) return undefined;
  if (how === 'broken' && moves.some((move) => isDrained(lane, move, stream, excuses))) return undefined;
  const breaking = rounds.some((round) =>
    round.faults.some(
      (fault) =>
        touches(fault, lane) &&
        faultOf(fault.kind).breaksStreams &&
        fault.injectedAt !== undefined &&
        end >= fault.injectedAt - SLACK_MS &&
        at <= (fault.healedAt ?? Infinity) + limitOf(fault, round, lane),
    ),
  );
  return breaking ? undefined : violation(lane, end, `a stream ended ${how} (${detail})`);
}

/**
 * Its service left the relay because of a fault, and the drain took its full time. After a fault TCP retransmits late, so the
 * end of a stream can take longer.
 */
const isDrained = (lane, { agent, relay, at }, stream, excuses) =>
  lane.agent === agent &&
  lane.relays[0] === relay &&
  stream.at <= at &&
  stream.end >= at + DRAIN_MS - SLACK_MS &&
  isExcused(excuses, { at, end: stream.end });

/** The time span in which a round excuses failures of a lane, or undefined. */
export function excuseOf(lane, round) {
  const touching = round.faults.filter((fault) => fault.injectedAt !== undefined && touches(fault, lane));
  const excusing = touching.filter(({ kind }) => !faultOf(kind).isHarmless);
  if (excusing.length === 0) return undefined;
  const healedAt = Math.max(...touching.map((fault) => fault.healedAt ?? Infinity));
  return {
    round,
    from: Math.min(...excusing.map(({ injectedAt }) => injectedAt)) - SLACK_MS,
    healedAt,
    until: healedAt + Math.max(...touching.map((fault) => limitOf(fault, round, lane))),
  };
}

/**
 * Pools: for each relay that services left, [{agent, relay, at}], the relay or the path to it must have had a fault. An
 * agent that was frozen notices it, and leaves no relay because of it.
 */
export function judgeMoves(rounds, moves) {
  return moves.flatMap(({ agent, relay, at }) => {
    const way = { id: `${agent}@${relay}`, ...wayOf(agent, [relay]) };
    const excuses = rounds.flatMap((round) => {
      const faults = round.faults.filter(isCause);
      return excuseOf(way, { ...round, faults }) ?? [];
    });
    const isFit = excuses.some(
      ({ round, from, until }) => at >= from && at <= Math.min(until, round.endedAt ?? Infinity),
    );
    return isFit ? [] : [violation(way, at, 'services left it although it had no fault')];
  });
}

const isCause = ({ kind }) => !faultOf(kind).isHarmless && kind !== 'agent-freeze';

const violation = ({ id }, at, what) => ({ lane: id, at, what });
