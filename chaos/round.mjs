import { pause } from '../bench/lib/wait.mjs';
import { cpus, loadavg } from 'node:os';
import { limitOf, faultOf } from './faults/all.mjs';
import { now } from './lib/now.mjs';

/** Runs one round: injects each fault at its time, undoes each at its time, and waits until everything is healthy. */

const CHECK_MS = 100;
/** A round lasts at least this long, even if no visitor should notice anything. */
const MIN_QUIET_MS = 1_000;
/** Longer than a fault's timeout. The judge decides whether the timeout was met. This only ends the wait. */
const PATIENCE_MS = 15_000;

/** Resolves with the lanes that did not recover in time: [{lane, why}]. */
export async function playRound(world, watch, round, signal) {
  round.begunAt = now();
  round.healthyAt = {};
  // Watches lanes from the start: one recovers, or misses its timeout, while other faults last.
  let [until, calmFrom] = [Infinity, Infinity];
  const playing = playAll();
  let late = [];
  do {
    await pause(CHECK_MS);
    late = unhealthy(world, watch, round);
  } while ((late.length > 0 || now() < calmFrom) && now() < until && !signal.aborted);
  await playing;
  round.endedAt = now();
  return late;

  async function playAll() {
    await Promise.all(round.faults.map((fault) => play(world, fault, signal)));
    // On a machine with many runnable processes, everything takes longer.
    round.patience = Math.max(1, loadavg()[0] / cpus().length);
    const limits = world.lanes.flatMap((lane) => round.faults.map((fault) => limitOf(fault, round, lane)));
    until = now() + Math.max(...limits) + PATIENCE_MS;
    calmFrom = now() + MIN_QUIET_MS;
  }
}

async function play(world, fault, signal) {
  await pause(fault.atMs);
  if (signal.aborted) return;
  fault.injectedAt = now();
  try {
    const heal = await faultOf(fault.kind).inject(world, fault);
    await pause(fault.durationMs);
    await heal();
  } catch (error) {
    world.on.onTrouble(`${fault.kind} of ${fault.target}: ${error.message}`, true);
  }
  fault.healedAt = now();
}

/**
 * Unhealthy lanes and pools, and why: [{lane, why}]. Records in `round.open` which lanes exist, and in
 * `round.healthyAt` since when the others are healthy.
 */
function unhealthy(world, watch, round) {
  const open = [...world.lanes.filter(({ isOpen = true }) => isOpen), ...world.places];
  round.open = new Set(open.map(({ id }) => id));
  return open.flatMap((lane) => {
    const why = lane.pool
      ? lane.pool.problem()
      : watch.whyUnhealthy(lane, round, world.agents.get(lane.agent).phaseOf(lane.service, lane.key));
    if (why === undefined) round.healthyAt[lane.id] ??= now();
    else delete round.healthyAt[lane.id];
    return why === undefined ? [] : [{ lane, why }];
  });
}
