import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { cannot, whyNot } from '../lib/can.mjs';
import { nodesMissing } from '../../bench/lib/nodes.mjs';
import { pause } from '../../bench/lib/wait.mjs';
import { now } from '../lib/now.mjs';
import { commit, openRun } from '../lib/run.mjs';
import { commandOf, fail } from '../options.mjs';
import { schedule } from '../schedule.mjs';
import { checkAll } from './checks/all.mjs';
import { CLUSTER_FAULTS } from './faults.mjs';
import { History } from './history.mjs';
import { loadRecord, saveContext } from './record.mjs';
import { readClusterOptions } from './options.mjs';
import { nameOfService, Race } from './race.mjs';
import { describeRound, printReport, printViolation, report } from './report.mjs';
import { playRound } from './round.mjs';
import { Starvation } from './checks/starvation.mjs';
import { shapeOf } from './shape.mjs';
import { World } from './world.mjs';

/** `npm run chaos -- --cluster`: faults of a relay on several machines. See docs/explanation/chaos.md. */

/** Faults of one round: few, so that it is clear which one excuses what. */
const PER_ROUND = [1, 2];

const args = process.argv.slice(2);
const options = readClusterOptions(args);
const { seed, minutes, count } = options;
const shape = shapeOf({ agents: 3, racers: 2, replicas: 2 });
const progress = (text) => process.stderr.write(`${text}\n`);
progress(`seed ${seed}`);
const wanted = CLUSTER_FAULTS.filter(options.isWanted);
const skipped = process.platform === 'linux' ? cannot(wanted) : {};
for (const [kind, why] of Object.entries(skipped)) progress(`no ${kind}: ${why}`);
const kinds = wanted.filter(({ kind }) => !(kind in skipped));
const rounds = schedule(seed, { count, kinds, shape, perRound: PER_ROUND });
if (options.plan) {
  for (const round of rounds) process.stdout.write(`${describeRound(round)}\n`);
  process.exit(0);
}
if (options.check !== undefined) {
  const { recorded, context } = loadRecord(options.check);
  const { violations: found } = checkAll(recorded, context);
  for (const violation of found)
    printViolation(violation, recorded, (line) => process.stdout.write(`${line}\n`));
  progress(`${found.length} violations`);
  process.exit(found.length > 0 ? 1 : 0);
}
const why = whyNot() ?? nodesMissing();
if (why !== undefined) fail(why);

const { folder, stop, takeDown } = openRun(progress, {
  logs: options.logs,
  isKept: (name) => /\.(log|jsonl|cfg|json)$/.test(name) && !name.includes('/disk/'),
});

const violations = [];
const history = new History(join(folder, 'history.jsonl'));
const lanes = new Map();
const world = new World(shape, folder, {
  onVisitor: (line) =>
    history.visitor(
      line,
      (id) => lanes.get(id) ?? world.laneOf(id),
      (issuer) => world.agents.withCa(issuer),
    ),
  onEntry: (line) => history.add('entries', { at: now(), ...line }),
  onDelays: (line) => history.add('delays', line),
  onLane: (lane) => lanes.set(lane.id, lane),
  onLease(agent, line) {
    const name = nameOfService(line.service);
    history.lease(agent, line, nameOfService);
    world.race?.lease(agent, name, line.phase);
    world.ports.lease(agent, name, line);
  },
  onNode: (node, line) => history.add('logs', { at: now(), ...line, id: line.node, node }),
  onTrouble(text, isViolation = false) {
    if (stop.aborted) return;
    progress(`  ${isViolation ? 'VIOLATION' : 'note'}: ${text}`);
    if (isViolation) violations.push({ promise: 'the harness', at: now(), what: text });
  },
});

let outcome;
try {
  outcome = await run();
} catch (error) {
  // A shutdown on request causes this error too.
  if (stop.aborted) await new Promise(() => undefined);
  progress(`the harness failed: ${error.stack}`);
  await takeDown();
  process.exit(1);
}
const actors = {
  agents: world.agents.identities,
  machines: new Map([...world.nodes.values()].map(({ nodeAddress, name }) => [nodeAddress, name])),
  nodes: shape.nodes,
};
const { reservations } = outcome;
saveContext(folder, { actors, lanes, reservations });
await takeDown();
const checked = checkAll(history, { actors, lanes, reservations });
const result = report(history, checked, {
  seed,
  again: commandOf(seed, args),
  skipped,
  rounds,
  violations,
  ...outcome,
});
if (options.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
else printReport(result, history, (line) => process.stdout.write(`${line}\n`));
process.exit(result.violations.length > 0 ? 1 : 0);

async function run() {
  const startedAt = now();
  await world.open();
  progress(`the nodes are up after ${Math.round((now() - startedAt) / 1_000)} s; visitors begin`);
  for (const lane of world.lanes) lanes.set(lane.id, lane);
  world.admitVisitors();
  world.race = new Race(world, { racers: shape.racers, owned: shape.ownedNames });
  world.race.start();
  await Promise.all([pause(options.warmUpMs), world.namesKept()]);
  const faultsFrom = now();
  const load = [loadavg()[0]];
  for (const round of rounds) {
    if (now() - faultsFrom > minutes * 60_000 || stop.aborted) break;
    round.outcome = await playRound(world, history, round, stop);
    progress(`${Math.round((now() - faultsFrom) / 1_000)} s  ${describeRound(round)}`);
    const { from, tookMs, limitMs, why: problem } = round.outcome;
    const delayMs = new Starvation(history.delays, shape).between(from, from + tookMs);
    if (problem !== undefined || tookMs > limitMs + delayMs)
      violations.push({
        promise: 'everything recovers',
        at: from,
        what: `round ${round.number}: ${problem ?? 'recovered late'} after ${Math.round(tookMs)} of ${limitMs} + ${Math.round(delayMs)} ms`,
      });
    load.push(loadavg()[0]);
  }
  const seconds = Math.round((now() - faultsFrom) / 1_000);
  await world.race.stop();
  const { open, of } = await world.quietVisitors();
  if (open > 0)
    violations.push({ promise: 'visitors are served', at: now(), what: `${open} visits did not end: ${of}` });
  await history.readChanges(world.database, { all: true });
  const kept = await world.database.sql('SELECT name, address FROM portal.reservations');
  for (const end of await world.close())
    if (!end.endsWith('exit 0')) violations.push({ promise: 'a clean end', at: now(), what: end });
  return {
    reservations: kept,
    seconds,
    load: { cpus: cpus().length, least: Math.min(...load), most: Math.max(...load) },
    commit: commit(),
  };
}
