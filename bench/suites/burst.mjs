import { script } from '../lib/children.mjs';
import { startContenders, variant, KINDS } from '../lib/contenders.mjs';
import { pickResult } from '../lib/load.mjs';
import { pause } from '../lib/wait.mjs';

/** Many visitors connect at the same moment: the time until the last one has its response. */

const MS = 120_000;
/** The connections of one burst end before the next begins. */
const QUIET_MS = 1_000;

export const burst = async (world) => [
  ...(await bursts(world, 'burst.tcp', KINDS.burstTcp)),
  ...(await bursts(world, 'burst.stream', KINDS.burstStream)),
];

async function bursts(world, name, kind) {
  const count = world.quick ? 200 : 1_000;
  const cold = {};
  const warm = {};
  const { contenders, stop } = await startContenders(world, kind);
  const width = Math.max(...contenders.map((contender) => contender.name.length));
  try {
    // The first burst of each contender reaches a relay and an agent that have not served a visitor yet.
    for (let round = 0; round <= world.rounds; round++) {
      for (const contender of contenders) {
        const before = cpuOf(contender);
        const figures = await visit(contender, count);
        figures.cpuMs = ((cpuOf(contender) - before) * 1000) / count;
        ((round === 0 ? cold : warm)[contender.name] ??= []).push(figures);
        world.progress(`  ${contender.name.padEnd(width)} ${world.describe(figures)}`);
        await pause(QUIET_MS);
      }
    }
  } finally {
    await stop();
  }
  return Object.keys(kind.variants).flatMap((suffix) => {
    const label = `${name}${suffix.replace(' ', '.')}`;
    return [
      pickResult(`${label}.cold`, 's', variant(cold, suffix), seconds, more(cold, suffix, count)),
      pickResult(label, 's', variant(warm, suffix), seconds, more(warm, suffix, count)),
      pickResult(`${label}.p50`, 's', variant(warm, suffix), ({ p50Ms }) => p50Ms / 1000),
      pickResult(`${label}.cpu`, 'CPU-ms/visitor', variant(warm, suffix), ({ cpuMs }) => cpuMs),
    ];
  });
}

/** CPU seconds of relay and agent. A direct visit uses neither. */
const cpuOf = ({ stages }) => Object.values(stages).reduce((sum, stage) => sum + stage.cpuSeconds(), 0);

const seconds = ({ lastMs }) => lastMs / 1000;

const more = (runs, suffix, visitors) => ({
  visitors,
  failures: Object.fromEntries(
    Object.entries(variant(runs, suffix)).map(([who, all]) => [
      who,
      all.reduce((sum, { failures }) => sum + failures, 0),
    ]),
  ),
});

async function visit({ host, port, servername, caFile }, count) {
  const visitors = script('burst.mjs', { host, port, servername, caFile, count });
  const { failures, p50Ms, lastMs } = await visitors.line((line) => line.done, MS);
  await visitors.stop();
  return { failures, p50Ms, lastMs };
}
