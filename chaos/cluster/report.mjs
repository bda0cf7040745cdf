import { describeFault } from '../report.mjs';
import { clusterFaultOf, CLUSTER_FAULTS } from './faults.mjs';
import { parsePlace } from './places.mjs';

/** The outcome of a run, as data and as text. */

/** How much of the history is printed around a violation. */
const [BEFORE_MS, AFTER_MS, MOST_LINES, MOST_VIOLATIONS] = [12_000, 3_000, 30, 20];

/** `rounds` have what playRound resolved with, as `outcome`. */
export function report(history, checked, { rounds, violations, ...rest }) {
  const played = history.faults;
  return {
    ...rest,
    faults: played.length,
    rounds: rounds.filter(({ outcome }) => outcome).length,
    kinds: CLUSTER_FAULTS.flatMap(({ kind }) => kindRow(kind, played, rounds)),
    served: checked.served,
    streams: checked.streams,
    epochs: history.changes.filter(({ what, op }) => what === 'leases' && op !== 'DELETE').length,
    names: new Set(history.leases.filter(({ phase }) => phase === 'ready').map(({ name }) => name)).size,
    owners: ownersOf(history),
    ports: portsOf(history),
    delays: delayOf(history),
    violations: [...violations, ...checked.violations].toSorted((one, other) => one.at - other.at),
  };
}

function kindRow(kind, played, rounds) {
  const own = played.filter((fault) => fault.kind === kind);
  if (own.length === 0) return [];
  const outcomes = rounds.filter(
    ({ outcome, faults }) => outcome && faults.some((fault) => fault.kind === kind),
  );
  const worstMs = Math.round(Math.max(0, ...outcomes.map(({ outcome }) => outcome.tookMs)));
  const taken = own.filter(({ outcome }) => outcome === 'taken').length;
  return [
    {
      kind,
      count: own.length,
      worstMs,
      limitMs: clusterFaultOf(kind).recoverMs,
      ...(kind === 'takeover' && { taken }),
    },
  ];
}

/** How many names had more than one owner, one after the other. */
function ownersOf({ changes }) {
  const owners = new Map();
  for (const { what, op, key, owner } of changes)
    if (what === 'leases' && op === 'INSERT') owners.set(key, (owners.get(key) ?? new Set()).add(owner));
  return { names: owners.size, passed: [...owners.values()].filter(({ size }) => size > 1).length };
}

/** How many ports of a kind were given out, and how many of them to one identity after the other. */
function portsOf({ changes }) {
  const owners = new Map();
  for (const { what, op, key, owner, port } of changes) {
    if (what !== 'leases' || op === 'DELETE' || port === undefined) continue;
    const at = `${parsePlace(key).kind} ${port}`;
    owners.set(at, (owners.get(at) ?? new Set()).add(owner));
  }
  return { ports: owners.size, passed: [...owners.values()].filter(({ size }) => size > 1).length };
}

/** How much of the time a process waited for a CPU, in percent: all of them, and the worst. */
function delayOf({ delays }) {
  const sums = new Map();
  let ms = 0;
  for (const entry of delays) {
    ms += entry.forMs;
    for (const [name, delay] of Object.entries(entry.delays)) sums.set(name, (sums.get(name) ?? 0) + delay);
  }
  const parts = [...sums].map(([name, sum]) => ({ name, percent: Math.round((1_000 * sum) / ms) / 10 }));
  return parts.toSorted((one, other) => other.percent - one.percent);
}

export function printReport(result, history, line) {
  const { kinds, served, streams, delays, load, seconds, violations } = result;
  line('');
  line(`${'kind'.padEnd(20)}${'count'.padStart(6)}${'worst ms'.padStart(10)}${'limit ms'.padStart(10)}`);
  for (const { kind, count, worstMs, limitMs, taken } of kinds)
    line(
      `${kind.padEnd(20)}${String(count).padStart(6)}${String(worstMs).padStart(10)}${String(limitMs).padStart(10)}${taken === undefined ? '' : `  (${taken} names taken)`}`,
    );
  line('');
  for (const [kind, why] of Object.entries(result.skipped)) line(`not done: ${kind} (${why})`);
  line(
    `${result.faults} faults in ${result.rounds} rounds and ${seconds} s, load ${load.least} to ${load.most} on ${load.cpus} CPUs`,
  );
  line(
    `of the time, processes waited for a CPU: ${delays.map(({ name, percent }) => `${name} ${percent} %`).join(', ')}. Each deadline was extended by what was measured within it`,
  );
  line(
    `${served.requests} requests: ${served.failed} failed or waited longer than 10 s, of which a fault excuses ${served.excused}, and ${served.starved} met their deadline without the time in which the machine did not run the processes; the slowest other one took ${Math.round(served.slowestMs)} ms`,
  );
  line(
    `${streams.streams} streams, ${Math.round(streams.bytes / 1e5) / 10} MB; ${streams.broken} ended early`,
  );
  line(
    `${result.epochs} epochs; ${result.names} names given out, ${result.owners.passed} of them to one identity after the other; ${result.ports.ports} ports, ${result.ports.passed} of them to one identity after the other`,
  );
  line(`${violations.length} violations`);
  for (const promise of new Set(violations.map((one) => one.promise)))
    line(`  ${violations.filter((one) => one.promise === promise).length} of "${promise}"`);
  for (const violation of violations.slice(0, MOST_VIOLATIONS)) printViolation(violation, history, line);
  line(`again: ${result.again}`);
}

/** The violation, the faults at that time, and the record of its name and of nodes around it. */
export function printViolation({ promise, at, name, node, what }, history, line) {
  line('');
  line(`VIOLATION of "${promise}" at ${time(at)}: ${name ?? node ?? ''}: ${what}`);
  const [from, until] = [at - BEFORE_MS, at + AFTER_MS];
  for (const fault of history.faults)
    if (fault.injectedAt <= until && (fault.healedAt ?? Infinity) >= from)
      line(
        `  fault ${fault.id} ${fault.kind} of ${[fault.target].flat().join('–')}: ${time(fault.injectedAt)} to ${fault.healedAt ? time(fault.healedAt) : 'the end'}`,
      );
  const within = (list) => history[list].filter((entry) => entry.at >= from && entry.at <= until);
  const lines = [
    ...within('changes')
      .filter(
        ({ key, what: table }) => table.endsWith('nodes') || key === name || parsePlace(key).name === name,
      )
      .map((change) => [
        change.at,
        `database: ${change.op} ${change.what} ${change.key} ${change.owner ?? ''} node ${change.node ?? ''} ${change.number ?? ''}`,
      ]),
    ...within('logs')
      .filter(({ level }) => level !== 'debug')
      .map(({ at: when, node: who, level, msg, error }) => [
        when,
        `${who} logs ${level}: ${msg} ${error ?? ''}`,
      ]),
    ...within('leases')
      .filter((lease) => lease.name === name)
      .map(({ at: when, agent, phase, code }) => [when, `${agent}: ${phase} ${code ?? ''}`]),
    ...within('requests')
      .filter((request) => request.name === name)
      .map((request) => [
        request.at,
        `visitor at ${request.node ?? 'the balancer'}: ${request.error ?? 'served'} by ${request.owner ?? 'nobody'} after ${Math.round(request.end - request.at)} ms`,
      ]),
  ].toSorted(([one], [other]) => one - other);
  const nearest = lines
    .toSorted(([one], [other]) => Math.abs(one - at) - Math.abs(other - at))
    .slice(0, MOST_LINES);
  for (const [when, text] of lines.filter((entry) => nearest.includes(entry)))
    line(`  ${time(when)} ${text}`);
}

const time = (at) => new Date(at).toISOString().slice(11, 23);

/** One line: the faults of a round, and when everything was healthy again. */
export function describeRound({ number, faults, outcome }) {
  const recovery = outcome ? `: recovered after ${Math.round(outcome.tookMs)} ms` : '';
  return `round ${number}: ${faults.map(describeFault).join('; ')}${recovery}`;
}
