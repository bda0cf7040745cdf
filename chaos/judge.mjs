import { boundOf, faultOf, touches } from './faults/all.mjs';
import { wayOf } from './shape.mjs';

/**
 * What visitors saw, held against what was done: pure. A round's faults carry `injectedAt` and `healedAt`; the round itself
 * `endedAt`, and by lane `wellAt`, since when it was seen to be well. All in milliseconds of one clock.
 */

/** Faults begin and end a little earlier and later than they are noted. */
const SLACK_MS = 50;
/** Bounds of visits are in time, too: a visit that failed after this failed by one, and not by an answer. */
const BY_TIME_MS = 7_500;
/** With more processes than this for each processor, that is no finding: bounds are multiplied by it. */
const BUSY = 2;

/**
 * Violations among requests of one lane: one that failed outside of what the round's faults excuse. And how long each
 * round's faults took until the lane was well again: {violations, recoveries: [{round, lane, tookMs, boundMs}], starved}.
 */
export function judgeRequests(lane, rounds, requests) {
  const violations = requests
    .filter(({ wrong }) => wrong !== undefined)
    .map(({ at, wrong }) => violation(lane, at, `a wrong answer: ${wrong}`));
  const recoveries = [];
  const excuses = rounds.flatMap((round) => excuseOf(lane, round) ?? []);
  for (const failed of requests.filter(({ error }) => error !== undefined)) {
    if (!isExcused(excuses, failed) && !isStarved(failed))
      violations.push(violation(lane, failed.at, `a request failed (${failed.error})`));
  }
  for (const { round, healedAt, until } of excuses) {
    // One of a pool whose service went elsewhere, which is judged by itself, or was not there yet.
    if (round.open && !round.open.has(lane.id)) continue;
    const wellAt = round.wellAt?.[lane.id] ?? Infinity;
    if (wellAt > until)
      violations.push(
        violation(lane, healedAt, `was not well again within ${Math.round(until - healedAt)} ms`),
      );
    else recoveries.push({ round, lane, tookMs: Math.max(0, wellAt - healedAt), boundMs: until - healedAt });
  }
  const starved = requests.filter(
    (request) => request.error !== undefined && isStarved(request) && !isExcused(excuses, request),
  );
  return { violations, recoveries, starved: starved.length };
}

/** Once a round's lanes were seen to be well, they stay so. */
const isExcused = (excuses, { at, end }) =>
  excuses.some(({ round, from, until }) => end >= from && at <= Math.min(until, round.endedAt));

/** It took too long, where everything does. */
const isStarved = ({ at, end, load = 0 }) => load > BUSY && end - at >= BY_TIME_MS;

/** How a lane's stream ended, if it may not have. */
export function judgeStream(lane, rounds, stream) {
  const { at, end, how, detail, bytes } = stream;
  if (how === 'whole' || how === 'left') return undefined;
  if (how === 'wrong') return violation(lane, end, `a stream got wrong bytes (${detail})`);
  const excuses = rounds.flatMap((round) => excuseOf(lane, round) ?? []);
  // One that never came to be is as a request that failed.
  if (bytes === 0 && (isExcused(excuses, stream) || isStarved(stream))) return undefined;
  const breaking = rounds.some((round) =>
    round.faults.some(
      (fault) =>
        touches(fault, lane) &&
        faultOf(fault.kind).breaksStreams &&
        fault.injectedAt !== undefined &&
        end >= fault.injectedAt - SLACK_MS &&
        at <= (fault.healedAt ?? Infinity) + boundOf(fault, round, lane),
    ),
  );
  return breaking ? undefined : violation(lane, end, `a stream ended ${how} (${detail})`);
}

/** When a round excuses failures of a lane; undefined where it does not. */
export function excuseOf(lane, round) {
  const touching = round.faults.filter((fault) => fault.injectedAt !== undefined && touches(fault, lane));
  const excusing = touching.filter(({ kind }) => !faultOf(kind).isHarmless);
  if (excusing.length === 0) return undefined;
  const healedAt = Math.max(...touching.map((fault) => fault.healedAt ?? Infinity));
  return {
    round,
    from: Math.min(...excusing.map(({ injectedAt }) => injectedAt)) - SLACK_MS,
    healedAt,
    until: healedAt + Math.max(...touching.map((fault) => boundOf(fault, round, lane))),
  };
}

/**
 * Of a pool: each relay that was left, [{agent, relay, at}], has to have had a fault, or the way to it. An agent that was
 * frozen knows that it was, and leaves nobody for it.
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
    return isFit ? [] : [violation(way, at, 'was left, and nothing had befallen it')];
  });
}

const isCause = ({ kind }) => !faultOf(kind).isHarmless && kind !== 'agent-freeze';

const violation = ({ id }, at, what) => ({ lane: id, at, what });
