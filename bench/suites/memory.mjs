import { script } from '../lib/children.mjs';
import { startContenders } from '../lib/contenders.mjs';
import { result } from '../lib/figures.mjs';

/** Resident memory without visitors, and bytes that an idle visitor costs: with `count` of them, minus without. */
export async function memory(world) {
  const count = world.quick ? 1_000 : 2_000;
  const growth = { relay: {}, agent: {} };
  const idleMB = { relay: {}, agent: {} };
  const others = {
    ...world,
    contenders: world.contenders.filter((name) => name !== 'direct'),
  };
  const { contenders, stop } = await startContenders(others);
  try {
    for (const contender of contenders) {
      // Excludes compiled code and the first growth of the heap.
      await (await idle(contender, 50)).stop();
      const before = await resident(contender);
      const visitors = await idle(contender, count);
      const after = await resident(contender);
      await visitors.stop();
      for (const stage of Object.keys(growth)) {
        growth[stage][contender.name] = [(after[stage] - before[stage]) / count];
        idleMB[stage][contender.name] = [before[stage] / 1e6];
      }
      world.progress(
        `  ${contender.name.padEnd(7)} ${JSON.stringify(
          Object.fromEntries(Object.keys(growth).map((s) => [s, Math.round(growth[s][contender.name][0])])),
        )}`,
      );
    }
  } finally {
    await stop();
  }
  return [
    ...Object.entries(growth).map(([stage, runs]) =>
      result(`memory.${stage}`, 'bytes/idle visitor', runs, { visitors: count }),
    ),
    ...Object.entries(idleMB).map(([stage, runs]) => result(`memory.idle.${stage}`, 'MB', runs)),
  ];
}

async function idle({ port, servername, caFile }, count) {
  const visitors = script('idle.mjs', { port, servername, caFile, count });
  const { error } = await visitors.line((line) => line.open === count || line.error, 60_000);
  if (error) throw new Error(`a visitor was not served: ${error}`);
  return visitors;
}

async function resident({ stages }) {
  await new Promise((resolve) => setTimeout(resolve, 500));
  const figures = {};
  for (const [stage, child] of Object.entries(stages)) figures[stage] = await child.residentBytes();
  return figures;
}
