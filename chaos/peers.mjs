import { cpus, loadavg } from 'node:os';
import { countsSettled } from './counts.mjs';
import { FAULTS } from './faults/all.mjs';
import { leaks, snapshot } from './invariants.mjs';
import { cannot, whyNot } from './lib/can.mjs';
import { pause } from '../bench/lib/wait.mjs';
import { now } from './lib/now.mjs';
import { commit, openRun } from './lib/run.mjs';
import { commandOf, fail, readOptions } from './options.mjs';
import { describeRound, printReport, report } from './report.mjs';
import { playRound } from './round.mjs';
import { schedule } from './schedule.mjs';
import { shapeOf } from './shape.mjs';
import { Watch } from './watch.mjs';
import { World } from './world.mjs';

/** `npm run chaos`: a seeded schedule of faults while visitors are connected. See docs/explanation/chaos.md. */

/** Flows of visitors that disconnected end within one and a half times their timeout. */
const FLOWS_LATE = 1.5;
/** An unneeded idle data connection closes at this age (protocol/limits.ts, idleDataConnectionMs). */
const SPARE_MS = 130_000;
const CHECK_MS = 2_000;

const options = readOptions(process.argv.slice(2));
const { seed, minutes, count, flowIdleMs } = options;
const shape = shapeOf(options.world);

const progress = (text) => process.stderr.write(`${text}\n`);
const startedAt = now();
progress(`seed ${seed}`);
const wanted = FAULTS.filter(options.isWanted);
const skipped = process.platform === 'linux' ? cannot(wanted) : {};
for (const [kind, why] of Object.entries(skipped)) progress(`no ${kind}: ${why}`);
const kinds = wanted.filter(({ kind }) => !(kind in skipped));
const rounds = schedule(seed, { count, kinds, shape, mostMs: options.mostMs });
if (options.plan) {
  for (const round of rounds) process.stdout.write(`${describeRound(round)}\n`);
  process.exit(0);
}
const why = whyNot();
if (why !== undefined) fail(why);

const { folder, stop, takeDown } = openRun(progress, {
  logs: options.logs,
  isKept: (name) => name.endsWith('.log'),
});

const violations = [];
const notes = [];
const watch = new Watch();
const world = new World(shape, folder, {
  flowIdleMs,
  onVisitor: (line) => watch.record(line),
  onTrouble(text, isViolation = false) {
    if (stop.aborted) return;
    progress(`  ${isViolation ? 'VIOLATION' : 'note'}: ${text}`);
    (isViolation ? violations : notes).push({ at: now(), what: text });
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
await takeDown();
const result = report({
  seed,
  again: commandOf(seed, process.argv.slice(2)),
  minutes,
  count,
  shape,
  skipped,
  rounds,
  watch,
  violations,
  notes,
  ...outcome,
});
if (options.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
else printReport(result, (line) => process.stdout.write(`${line}\n`));
process.exit(result.violations.length > 0 ? 1 : 0);

async function run() {
  await world.open();
  const fresh = await snapshot(world);
  progress(`${world.lanes.length} lanes; visitors begin`);
  world.admitVisitors();
  await pause(options.warmUpMs);
  await quiet();
  const before = await snapshot(world);
  world.resumeVisitors();
  const faultsFrom = now();
  const load = [loadavg()[0]];
  for (const round of rounds) {
    if (now() - faultsFrom > minutes * 60_000 || stop.aborted) break;
    const late = await playRound(world, watch, round, stop);
    progress(`${Math.round((now() - faultsFrom) / 1_000)} s  ${describeRound(round)}`);
    for (const { lane, why: reason } of late)
      violations.push({
        lane: lane.id,
        at: now(),
        what: `round ${round.number}: did not recover: ${reason}`,
      });
    if (stop.aborted) break;
    for (const { where, what } of await countsSettled(world, shape, { watch, flowIdleMs, round }))
      violations.push({ lane: where, at: now(), what: `round ${round.number}: ${what}` });
    load.push(loadavg()[0]);
  }
  const faultsUntil = now();
  await quiet();
  progress('all visitors left; looking for leaks');
  const { left, after } = await settle(fresh, before);
  for (const { where, what } of left) violations.push({ lane: where, at: now(), what: `left over: ${what}` });
  const moves = [...world.pools.values()].flatMap((pool) => pool.moves);
  for (const end of await world.close()) {
    if (!end.endsWith('exit 0')) violations.push({ at: now(), what: `did not end cleanly: ${end}` });
  }
  return {
    lanes: [...world.lanes, ...world.places],
    moves,
    before,
    after,
    seconds: {
      faults: Math.round((faultsUntil - faultsFrom) / 1_000),
      all: Math.round((now() - startedAt) / 1_000),
    },
    load: { cpus: cpus().length, least: Math.min(...load), most: Math.max(...load) },
    commit: commit(),
  };
}

/** All visitors disconnect in order. A visitor that cannot is a violation. */
async function quiet() {
  const { open, of } = await world.quietVisitors();
  if (open > 0) violations.push({ at: now(), what: `${open} visits did not end: ${of.join(', ')}` });
}

/** Waits, up to a limit, until everything with a timeout has expired. */
async function settle(fresh, before) {
  const from = now();
  const { settleMs } = options;
  // Resources with a timeout can be checked only after it.
  const overMs = { flows: flowIdleMs * FLOWS_LATE, spare: SPARE_MS };
  const latestMs = Math.max(0, ...Object.values(overMs).filter((ms) => ms <= settleMs));
  for (let last; ;) {
    const after = await snapshot(world);
    const tookMs = now() - from;
    const over = { flows: tookMs >= overMs.flows, spare: tookMs >= overMs.spare };
    const left = leaks(world, shape, { fresh, before, last, after, ...over });
    if (tookMs > settleMs || (left.length === 0 && tookMs >= latestMs)) return { left, after };
    last = after;
    await pause(CHECK_MS);
  }
}
