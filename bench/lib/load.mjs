import { startContenders } from './contenders.mjs';
import { result } from './figures.mjs';
import { PEERS } from './peers.mjs';

/**
 * Runs `load` on every contender in turn, for several rounds, so that other work on the machine affects all equally.
 * `load(contender, measure, service)` calls `measure.begin()` and returns figures. The CPU seconds that each stage
 * used since then are added as {relay, agent}, with the part of the relay's busiest worker as `busiest`, unless the figures have earlier ones from `measure.cpu()`. In warm-up
 * turns `measure.warmsUp` is set; the figures then report the work done as `work` and the work needed as `enough`.
 * Returns {contender: [figures…]}. `start` is startContenders or a replacement.
 */
export async function inTurns(world, load, start = startContenders) {
  const { contenders, service, stop } = await start(world);
  const runs = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  const width = Math.max(...contenders.map(({ name }) => name.length));
  const once = async (contender) => {
    const measure = meter({ ...contender.stages, service }, false);
    const forwarded = await contender.forwarded?.();
    const { work: _, enough: __, ...figures } = await load(contender, measure, service);
    const { cpu = measure.cpu() } = figures;
    if (contender.forwarded) figures.forwarded = (await contender.forwarded()) - forwarded;
    runs[contender.name].push({ ...figures, cpu });
    world.progress(`  ${contender.name.padEnd(width)} ${world.describe(figures, cpu)}`);
  };
  /** A peer that fails loses its figures, and the others keep theirs. */
  const unlessFailed = async (contender, run) => {
    if (!runs[contender.name]) return;
    try {
      await run(contender);
    } catch (error) {
      if (!PEERS[contender.name]) throw error;
      delete runs[contender.name];
      world.failed(error);
    }
  };
  try {
    for (const contender of contenders) await unlessFailed(contender, (each) => warmUp(each, service, load));
    for (let round = 0; round < world.rounds; round++) {
      for (let turn = 0; turn < contenders.length; turn++)
        await unlessFailed(contenders[(round + turn) % contenders.length], once);
    }
  } finally {
    await stop();
  }
  return runs;
}

const MAX_WARM_UPS = 6;

/**
 * A relay runs for weeks, so JIT compilation in the first seconds must not count. Runs warm-up turns until relay and
 * agent have done `enough` work, where the load reports it.
 */
async function warmUp(contender, service, load) {
  let done = 0;
  for (let turn = 0; turn < MAX_WARM_UPS; turn++) {
    const measure = meter({ ...contender.stages, service }, true);
    const { work = 0, enough = 0 } = await load(contender, measure, service);
    done += work;
    if (done >= enough || !contender.isCompiled) return;
  }
}

/** Counts the CPU seconds of each of `processes` from `begin()` on. */
function meter(processes, warmsUp) {
  let before;
  const read = () => ({
    ...Object.fromEntries(Object.entries(processes).map(([name, child]) => [name, child.cpuSeconds()])),
    workers: processes.relay?.workerSeconds() ?? [],
  });
  return {
    warmsUp,
    begin: () => (before = read()),
    cpu() {
      const { workers, ...after } = read();
      const used = Object.entries(after).map(([name, seconds]) => [name, seconds - before[name]]);
      const busiest = Math.max(...workers.map((seconds, index) => seconds - before.workers[index]));
      return { ...Object.fromEntries(used), ...(workers.length > 0 && { busiest }) };
    },
  };
}

/** A result from what `pick` extracts from each run. Runs for which it returns undefined are omitted. */
export function pickResult(name, unit, runs, pick, more) {
  const picked = Object.entries(runs).map(([contender, figures]) => [
    contender,
    figures.map(pick).filter((value) => value !== undefined && !Number.isNaN(value)),
  ]);
  return result(name, unit, Object.fromEntries(picked), more);
}
