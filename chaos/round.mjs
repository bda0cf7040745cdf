import { cpus, loadavg } from 'node:os';
import { boundOf, faultOf } from './faults/all.mjs';
import { now } from './lib/now.mjs';

/** Carries one round out: each fault at its time, each undone at its own, and then the wait until all is well. */

const LOOK_MS = 100;
/** Even where nothing was to be noticed, a round is looked at for this long. */
const LEAST_CALM_MS = 1_000;
/** More than a fault's bound: the judge says whether it was kept, this only ends the waiting. */
const PATIENCE_MS = 15_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves with the lanes that were not well in time: [{lane, why}]. */
export async function playRound(world, watch, round, signal) {
  round.begunAt = now();
  round.wellAt = {};
  // Lanes are looked at from the start: one is well again, or late, while faults of others last.
  let [until, calmFrom] = [Infinity, Infinity];
  const playing = playAll();
  let late = [];
  do {
    await pause(LOOK_MS);
    late = notWell(world, watch, round);
  } while ((late.length > 0 || now() < calmFrom) && now() < until && !signal.aborted);
  await playing;
  round.endedAt = now();
  return late;

  async function playAll() {
    await Promise.all(round.faults.map((fault) => play(world, fault, signal)));
    // Each process gets its share of the machine only: where many want some, all takes longer.
    round.patience = Math.max(1, loadavg()[0] / cpus().length);
    const bounds = world.lanes.flatMap((lane) => round.faults.map((fault) => boundOf(fault, round, lane)));
    until = now() + Math.max(...bounds) + PATIENCE_MS;
    calmFrom = now() + LEAST_CALM_MS;
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
 * Lanes and pools that are not well, and why: [{lane, why}]. Notes in `round.open` which there are, and in
 * `round.wellAt` since when the others are well.
 */
function notWell(world, watch, round) {
  const open = [...world.lanes.filter(({ isOpen = true }) => isOpen), ...world.places];
  round.open = new Set(open.map(({ id }) => id));
  return open.flatMap((lane) => {
    const why = lane.pool
      ? lane.pool.problem()
      : watch.notYet(lane, round, world.agents.get(lane.agent).phaseOf(lane.service, lane.key));
    if (why === undefined) round.wellAt[lane.id] ??= now();
    else delete round.wellAt[lane.id];
    return why === undefined ? [] : [{ lane, why }];
  });
}
