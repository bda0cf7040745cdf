import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULTS } from './faults/all.mjs';
import { leftOver, snapshot } from './invariants.mjs';
import { cannot, whyNot } from './lib/can.mjs';
import { killEverything } from './lib/program.mjs';
import { describeRound, printReport, report } from './report.mjs';
import { now, playRound } from './round.mjs';
import { schedule } from './schedule.mjs';
import { Watch } from './watch.mjs';
import { shapeOf, World } from './world.mjs';

/** `npm run chaos`: a seeded schedule of faults under live visitors. docs/chaos.md explains. */

const USAGE = `usage: npm run chaos -- [options]
  --seed N        the same seed makes the same schedule (default: a random one, which is printed first)
  --minutes N     no round begins after this (default 10)
  --faults N      how many faults (default: 21 a minute)
  --only KIND     one of ${FAULTS.map(({ kind }) => kind).join(', ')} (repeatable)
  --most-ms N     no fault takes longer than this
  --relays N      (default 3)
  --agents N      (default 3), each on two of the relays
  --warm-up N     seconds of visits before the first fault (default 20)
  --settle N      seconds for what is left over to go, at the end (default 100)
  --plan          print the schedule, and do nothing
  --logs FOLDER   copy the logs of all processes there
  --json          one JSON document on standard output
`;
const PREFIX = 'portal-chaos-';
/** Flows of visitors who have left end after a minute without a datagram. */
const FLOWS_OVER_MS = 75_000;
const LOOK_MS = 2_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    faults: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    'most-ms': { type: 'string', default: 'Infinity' },
    relays: { type: 'string', default: '3' },
    agents: { type: 'string', default: '3' },
    'warm-up': { type: 'string', default: '20' },
    settle: { type: 'string', default: '100' },
    plan: { type: 'boolean', default: false },
    logs: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const unknown = values.only.filter((kind) => !FAULTS.some((one) => one.kind === kind));
if (unknown.length > 0) fail(`no fault is called ${unknown.join(', ')}\n${USAGE}`);
const seed = numberOf('seed', values.seed ?? randomInt(2 ** 31));
const minutes = numberOf('minutes', values.minutes);
const count = numberOf('faults', values.faults ?? Math.ceil(21 * minutes));
const shape = shapeOf({
  relays: numberOf('relays', values.relays),
  agents: numberOf('agents', values.agents),
});

const progress = (text) => process.stderr.write(`${text}\n`);
const startedAt = now();
progress(`seed ${seed}`);
const wanted = FAULTS.filter(({ kind }) => values.only.length === 0 || values.only.includes(kind));
const skipped = process.platform === 'linux' ? cannot(wanted) : {};
for (const [kind, why] of Object.entries(skipped)) progress(`no ${kind}: ${why}`);
const kinds = wanted.filter(({ kind }) => !(kind in skipped));
const mostMs = values['most-ms'] === 'Infinity' ? Infinity : numberOf('most-ms', values['most-ms']);
const rounds = schedule(seed, { count, kinds, shape, mostMs });
if (values.plan) {
  for (const round of rounds) process.stdout.write(`${describeRound(round)}\n`);
  process.exit(0);
}
const why = whyNot();
if (why !== undefined) fail(why);

clearLeftovers();
const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => {
    stop.abort();
    progress(`${signal}: everything is taken down`);
    void takeDown().then(() => process.exit(1));
  });

const violations = [];
const notes = [];
const watch = new Watch();
const world = new World(shape, folder, {
  onVisitor: (line) => watch.told(line),
  onPhase: () => undefined,
  onTrouble(text, isViolation = false) {
    if (stop.signal.aborted) return;
    progress(`  ${isViolation ? 'VIOLATION' : 'note'}: ${text}`);
    (isViolation ? violations : notes).push({ at: now(), what: text });
  },
});

let outcome;
try {
  outcome = await run();
} catch (error) {
  // Taken down on request already: that ends the process.
  if (stop.signal.aborted) await new Promise(() => undefined);
  progress(`the harness failed: ${error.stack}`);
  await takeDown();
  process.exit(1);
}
await takeDown();
const result = report({
  seed,
  again: again(),
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
if (values.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
else printReport(result, (line) => process.stdout.write(`${line}\n`));
process.exit(result.violations.length > 0 ? 1 : 0);

async function run() {
  await world.open();
  const fresh = await snapshot(world);
  progress(`${world.lanes.length} lanes; visitors begin`);
  world.admitVisitors();
  await pause(numberOf('warm-up', values['warm-up']) * 1_000);
  await quiet();
  const before = await snapshot(world);
  world.resumeVisitors();
  const faultsFrom = now();
  const load = [loadavg()[0]];
  for (const round of rounds) {
    if (now() - faultsFrom > minutes * 60_000 || stop.signal.aborted) break;
    const late = await playRound(world, watch, round, stop.signal);
    progress(`${Math.round((now() - faultsFrom) / 1_000)} s  ${describeRound(round)}`);
    for (const { lane, why: reason } of late)
      violations.push({ lane: lane.id, at: now(), what: `round ${round.number}: not well again, ${reason}` });
    load.push(loadavg()[0]);
  }
  const faultsUntil = now();
  await quiet();
  progress('the visitors have left; what is left over?');
  const { left, after } = await settle(fresh, before);
  for (const { where, what } of left) violations.push({ lane: where, at: now(), what: `left over: ${what}` });
  for (const end of await world.close()) {
    if (!end.endsWith('exit 0')) violations.push({ at: now(), what: `did not end in order: ${end}` });
  }
  return {
    lanes: world.lanes,
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

/** All visitors leave in order; one who cannot is a violation. */
async function quiet() {
  const { open, of } = await world.quietVisitors();
  if (open > 0) violations.push({ at: now(), what: `${open} visits did not end: ${of.join(', ')}` });
}

/** Waits, within the bound, until nothing is left over that has a right to stay for a while. */
async function settle(fresh, before) {
  const from = now();
  const boundMs = numberOf('settle', values.settle) * 1_000;
  for (;;) {
    const after = await snapshot(world);
    const flows = now() - from >= FLOWS_OVER_MS;
    const left = leftOver(world, { fresh, before, after, flows });
    const isOver = now() - from > boundMs;
    // Flows can be looked at only once their time is over.
    const isWaiting = !flows && boundMs >= FLOWS_OVER_MS;
    if (isOver || (left.length === 0 && !isWaiting)) return { left, after };
    await pause(LOOK_MS);
  }
}

async function takeDown() {
  stop.abort();
  if (values.logs !== undefined) keepLogs(resolve(values.logs));
  await killEverything();
  rmSync(folder, { recursive: true, force: true });
}

function keepLogs(to) {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(folder, { recursive: true }).map(String))
    if (name.endsWith('.log')) cpSync(join(folder, name), join(to, name.replaceAll('/', '-')));
}

/** What a run left that was ended by force: its processes and networks ended with it, its folder did not. */
function clearLeftovers() {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : 0;
    if (pid > 0 && !existsSync(`/proc/${pid}`))
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** The command that does the same once more. */
function again() {
  const given = process.argv.slice(2).filter((word, index, all) => !seedAt(index, all) && word !== '--json');
  return ['npm run chaos --', `--seed ${seed}`, ...given].join(' ');
}

function seedAt(index, words) {
  return words[index] === '--seed' || words[index - 1] === '--seed';
}

function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      timeout: 5_000,
    }).trim();
  } catch {
    return undefined;
  }
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

function numberOf(name, value) {
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) fail(`--${name} ${value} is not a number`);
  return number;
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}
