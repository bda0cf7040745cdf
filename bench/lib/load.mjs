import { startContenders } from './contenders.mjs';
import { result } from './figures.mjs';

/**
 * Runs `load` on every contender, in turns and several rounds: what else the machine does hits all alike.
 * `load(contender, measure)` calls `measure.begin()` and returns figures; the CPU seconds each stage used since
 * are added as {relay, agent}. Returns {contender: [figures…]}.
 */
export async function inTurns(world, load) {
  const { contenders, service, stop } = await startContenders(world);
  const runs = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  try {
    // A relay runs for weeks: what its compiler does in the first seconds is not what a visitor pays.
    for (const contender of contenders) await load(contender, { begin: () => undefined });
    for (let round = 0; round < world.rounds; round++) {
      for (let turn = 0; turn < contenders.length; turn++) {
        const contender = contenders[(round + turn) % contenders.length];
        const processes = { ...contender.stages, service };
        let before;
        const read = () =>
          Object.fromEntries(Object.entries(processes).map(([name, child]) => [name, child.cpuSeconds()]));
        const figures = await load(contender, { begin: () => (before = read()) });
        const after = read();
        const cpu = Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));
        runs[contender.name].push({ ...figures, cpu });
        world.progress(`  ${contender.name.padEnd(7)} ${world.describe(figures, cpu)}`);
      }
    }
  } finally {
    await stop();
  }
  return runs;
}

/** A result out of what `pick` takes from each run; runs for which it gives undefined are left out. */
export function pickResult(name, unit, runs, pick, more) {
  const picked = Object.entries(runs).map(([contender, figures]) => [
    contender,
    figures.map(pick).filter((value) => value !== undefined && !Number.isNaN(value)),
  ]);
  return result(name, unit, Object.fromEntries(picked), more);
}
