import { limitOf, FAULTS, touches } from './faults/all.mjs';
import { judgeMoves, judgeRequests, judgeStream } from './judge.mjs';

/** The outcome of a run, as data and as a table. */

const SLOWEST = 8;

export function report({ lanes, rounds, watch, violations, notes, before, after, moves, ...rest }) {
  const played = rounds.filter(({ endedAt }) => endedAt !== undefined);
  const found = [...violations, ...judgeMoves(rounds, moves)];
  const recoveries = [];
  const counts = { requests: 0, failed: 0, starved: 0, streams: 0, unopened: 0, broken: 0, streamBytes: 0 };
  for (const lane of lanes) {
    const { requests, streams } = watch.of(lane);
    const judged = judgeRequests(lane, played, requests);
    found.push(...judged.violations);
    recoveries.push(...judged.recoveries);
    counts.starved += judged.starved;
    counts.requests += requests.length;
    counts.failed += requests.filter(({ error }) => error).length;
    for (const stream of streams) {
      counts.streams++;
      counts.streamBytes += stream.bytes;
      const isEarly = stream.how !== 'whole' && stream.how !== 'left';
      // Visitors try again every 300 ms while a relay is down.
      if (isEarly) counts[stream.bytes === 0 ? 'unopened' : 'broken']++;
      const wrong = judgeStream(lane, played, stream, moves);
      if (wrong) found.push(wrong);
    }
  }
  const faults = played.flatMap((round) => round.faults);
  return {
    ...rest,
    lanes: lanes.length,
    touched: {
      chains: faults.filter((fault) => lanes.some((lane) => lane.further > 0 && touches(fault, lane))).length,
      pools: faults.filter((fault) => lanes.some((lane) => lane.pool && touches(fault, lane))).length,
    },
    moves: moves.length,
    rounds: played.length,
    faults: faults.length,
    kinds: FAULTS.filter(({ kind }) => faults.some((fault) => fault.kind === kind)).map(({ kind }) =>
      kindRow(kind, faults, recoveries),
    ),
    ...counts,
    slowest: slowest(recoveries),
    memory: Object.fromEntries(
      Object.entries(before.all).map(([name, { rss }]) => [
        name,
        { beforeMB: mega(rss), afterMB: mega(after.all[name].rss), starts: after.all[name].starts },
      ]),
    ),
    violations: found.toSorted((a, b) => a.at - b.at),
    notes,
  };
}

/** The lane that used the largest part of its timeout, and the round in which it did. */
function slowest(recoveries) {
  return recoveries
    .map(({ round, lane, tookMs, limitMs }) => ({
      lane: lane.id,
      round: round.number,
      tookMs: Math.round(tookMs),
      limitMs: Math.round(limitMs),
    }))
    .toSorted((a, b) => b.tookMs / b.limitMs - a.tookMs / a.limitMs)
    .slice(0, SLOWEST);
}

/** `worstMs` covers all rounds with this kind of fault. Other faults of the round may have caused it. */
function kindRow(kind, faults, recoveries) {
  const own = faults.filter((fault) => fault.kind === kind);
  const took = recoveries.filter(({ round }) => round.faults.some((fault) => fault.kind === kind));
  const worst = Math.max(0, ...took.map(({ tookMs }) => tookMs));
  return {
    kind,
    count: own.length,
    worstMs: Math.round(worst),
    limitMs: Math.max(...own.map((fault) => limitOf(fault))),
  };
}

export function printReport(result, line) {
  const { again, faults, rounds, seconds, load, violations, kinds, skipped, memory } = result;
  line('');
  line(`${'kind'.padEnd(20)}${'count'.padStart(6)}${'worst ms'.padStart(10)}${'limit ms'.padStart(10)}`);
  for (const { kind, count, worstMs, limitMs } of kinds)
    line(
      `${kind.padEnd(20)}${String(count).padStart(6)}${String(worstMs).padStart(10)}${String(limitMs).padStart(10)}`,
    );
  line('');
  for (const [kind, why] of Object.entries(skipped)) line(`not done: ${kind} (${why})`);
  line(
    `${faults} faults in ${rounds} rounds and ${seconds.faults} s (${seconds.all} s in all), load ${load.least} to ${load.most} on ${load.cpus} CPUs`,
  );
  line(
    `${result.requests} requests, of which ${result.failed} failed (${result.starved} of them for lack of CPU time); ${result.streams} streams, of which ${result.unopened} never opened and ${result.broken} ended early; ${mega(result.streamBytes)} MB in streams`,
  );
  for (const { lane, round, tookMs, limitMs } of result.slowest)
    line(`slow: ${lane} in round ${round}: ${tookMs} of ${limitMs} ms`);
  line(
    `${result.lanes} lanes; ${result.touched.chains} faults touched a chain, ${result.touched.pools} a pool, whose services moved ${result.moves} times`,
  );
  for (const [name, { beforeMB, afterMB, starts }] of Object.entries(memory))
    line(
      `memory of ${name}: ${beforeMB} MB, then ${afterMB} MB${starts > 1 ? ` (started ${starts} times)` : ''}`,
    );
  line(`${violations.length} violations`);
  for (const { lane, at, what } of violations)
    line(`  ${new Date(at).toISOString()} ${lane ? `${lane}: ` : ''}${what}`);
  line(`again: ${again}`);
}

/** The fields of every fault. All other fields were drawn for its kind. */
const COMMON = new Set(['id', 'kind', 'target', 'atMs', 'durationMs', 'injectedAt', 'healedAt']);

/** The fault, its target, when it happens, and what was drawn for it. */
export function describeFault(fault) {
  const { kind, target, atMs, durationMs } = fault;
  const drawn = Object.keys(fault).filter((key) => !COMMON.has(key));
  const details = drawn.map((key) => `${key} ${fault[key]}`).join(', ');
  return `${kind} ${[target].flat().join('–')} at ${atMs} for ${durationMs} ms${details && ` (${details})`}`;
}

/** One line: the faults of a round, and when everything recovered. */
export function describeRound({ number, faults, endedAt }) {
  const healedAt = Math.max(...faults.map((fault) => fault.healedAt ?? 0));
  const recovery = endedAt === undefined ? '' : `: recovered after ${Math.round(endedAt - healedAt)} ms`;
  return `round ${number}: ${faults.map(describeFault).join('; ')}${recovery}`;
}

const mega = (bytes) => Math.round(bytes / 1e5) / 10;
