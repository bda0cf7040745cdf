import { script } from '../lib/children.mjs';
import { KINDS, startContenders, variant } from '../lib/contenders.mjs';
import { openLink } from '../lib/link.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';
import { pause } from '../lib/wait.mjs';

/** Datagrams one way, of the largest size that fits into one packet of the carrier on every path. */
const FLOOD_BYTES = 1_100;
/** The rates to try, each a little above the previous one. */
const RATES = Array.from({ length: 31 }, (_, index) => Math.round(2_000 * 1.17 ** index));
const WARM_UP = { rate: 20_000, seconds: 1.5 };
const MAX_TRIES = 3;
const MAX_LOST = 0.001;
/** Datagrams in transit still arrive in this time. */
const SETTLE_MS = 150;

/** Round trips of small datagrams, as a game sends them, far from any limit. */
const PING = { ping: true, bytes: 200, rate: 250, lateMs: 200 };
/** A TCP retransmission can take this long. */
const LATE_MS = 500;

const VARIANTS = { '': 'udp', ' ws': 'udp.ws' };
let lastRun = 0;

/** Datagrams a second one way, with less than a thousandth lost, and the round-trip time at a modest rate. */
export async function udp(world) {
  /** Index of the highest rate that each contender sustained last. */
  const best = {};
  const load = async (contender, measure, service) => {
    const seconds = world.seconds / (measure.warmsUp ? 6 : 3);
    const attempt = async (rate) => {
      const done = await visit(contender, { bytes: FLOOD_BYTES, rate, seconds }, () => measure.begin());
      await pause(SETTLE_MS);
      const cpu = measure.cpu();
      const { received } = await service.ask({ run: done.run }, 'received');
      return { ...done, rate, cpu, received, lost: 1 - received / done.sent };
    };
    const { name } = contender;
    // The compiler has then seen enough datagrams.
    if (measure.warmsUp) await visit(contender, { bytes: FLOOD_BYTES, ...WARM_UP });
    const found = measure.warmsUp
      ? await search(attempt, { low: -1, high: RATES.length })
      : await walk(attempt, best[name] ?? 0);
    if (found) best[name] = found.index;
    const pings = await visit(contender, { ...PING, seconds: measure.warmsUp ? 0.5 : world.seconds });
    return {
      ...(found && {
        'datagrams/s': found.received / found.seconds,
        lost: found.lost,
        received: found.received,
      }),
      p50Ms: pings.p50Ms,
      p99Ms: pings.p99Ms,
      cpu: found?.cpu ?? {},
    };
  };
  const all = await inTurns(world, load, (theirs) => startContenders(theirs, KINDS.udp));
  return Object.entries(VARIANTS).flatMap(([suffix, name]) => {
    const runs = variant(all, suffix);
    return [
      pickResult(name, 'datagrams/s', runs, (run) => run['datagrams/s'], { bytes: FLOOD_BYTES }),
      pickResult(`${name}.lost`, '% lost', runs, (run) => run.lost * 100),
      pickResult(`${name}.cpu.relay`, 'CPU-µs/datagram', runs, each('relay')),
      pickResult(`${name}.cpu.agent`, 'CPU-µs/datagram', runs, each('agent')),
      // The rate that a whole core for the busier of the two could sustain.
      pickResult(`${name}.perCore`, 'datagrams/CPU-s', runs, (run) => {
        const busier = Math.max(run.cpu.relay ?? 0, run.cpu.agent ?? 0);
        return busier > 0 ? run.received / busier : undefined;
      }),
      pickResult(`${name}.p50`, 'ms', runs, (run) => run.p50Ms, {
        bytes: PING.bytes,
        rate: PING.rate,
      }),
      pickResult(`${name}.p99`, 'ms', runs, (run) => run.p99Ms),
    ];
  });
}

/**
 * The round-trip time without loss and with 1 % loss in each direction, between relay and agent in separate network
 * namespaces. Lost datagrams are not counted. The benchmark measures whether other datagrams wait for them.
 */
export async function loss(world) {
  if (world.loss.missing) return [];
  const load = async (contender, measure) => {
    const figures = {};
    for (const [state, fraction] of Object.entries({ none: 0, one: 0.01 })) {
      await contender.link.lose(fraction);
      const seconds = measure.warmsUp ? 0.5 : world.seconds;
      const pings = await visit(contender, { ...PING, seconds, lateMs: LATE_MS }, () => measure.begin());
      figures[state] = { p50Ms: pings.p50Ms, p99Ms: pings.p99Ms, lost: 1 - pings.answered / pings.sent };
    }
    return figures;
  };
  const all = await inTurns(world, load, startOverLink);
  return Object.entries(VARIANTS).flatMap(([suffix, name]) => {
    const runs = variant(all, suffix);
    return Object.entries({ none: 'noLoss', one: 'loss' }).flatMap(([state, label]) => [
      pickResult(`${name}.${label}.p50`, 'ms', runs, (run) => run[state].p50Ms, { by: world.loss.by }),
      pickResult(`${name}.${label}.p99`, 'ms', runs, (run) => run[state].p99Ms),
      pickResult(`${name}.${label}.lost`, '% lost', runs, (run) => run[state].lost * 100),
    ]);
  });
}

async function startOverLink(world) {
  const link = await openLink(world, world.loss.by);
  try {
    const started = await startContenders(world, KINDS.udp, { link });
    const stop = async () => {
      await started.stop();
      await link.stop();
    };
    // The direct visitor crosses the same cable.
    for (const contender of started.contenders) contender.link = link;
    return { ...started, stop };
  } catch (error) {
    await link.stop();
    throw error;
  }
}

const each = (stage) => (run) => (run.cpu[stage] / run.received) * 1e6;

/** One visitor, from its first datagram to its last. */
async function visit({ host, port, link }, load, begin = () => undefined) {
  const run = ++lastRun;
  const options = { host, port, run, ...load };
  const visitor = script('datagram-visitor.mjs', options, { inside: link?.relay.pid });
  await visitor.line((line) => line.started);
  begin();
  const done = await visitor.line((line) => line.done, (load.seconds + 20) * 1000);
  await visitor.stop();
  return { run, ...done };
}

/** Binary search in RATES for the highest sustained rate. */
async function search(attempt, { low, high }) {
  let found;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const tried = await attempt(RATES[middle]);
    if (holds(tried)) [low, found] = [middle, { ...tried, index: middle }];
    else high = middle;
  }
  return found;
}

/** Starts at a rate that was sustained before, and goes up while it is sustained, or down until it is. */
async function walk(attempt, from) {
  let found;
  let isDown = false;
  for (let tries = 0, index = from; tries < MAX_TRIES && RATES[index] !== undefined; tries++) {
    const tried = await attempt(RATES[index]);
    if (holds(tried)) {
      found = { ...tried, index };
      if (isDown) break;
      index++;
    } else {
      if (found) break;
      isDown = true;
      index--;
    }
  }
  return found;
}

/** A sender that did not reach the rate has not tested it. */
const holds = ({ lost, sent, seconds, rate }) => lost <= MAX_LOST && sent / seconds > 0.95 * rate;
