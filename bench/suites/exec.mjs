import { script } from '../lib/children.mjs';
import { KINDS, startContenders } from '../lib/contenders.mjs';
import { median } from '../lib/figures.mjs';
import { pickResult } from '../lib/load.mjs';

/** From the start of an agent, with a running relay, until each of its services has responded to a visitor. */
export async function exec(world) {
  return [...(await agents(world, 1)), ...(await agents(world, 100))];
}

async function agents(world, count) {
  const names = world.contenders.filter((name) => name !== 'direct' && name !== 'floor');
  const { contenders, stop } = await startContenders({ ...world, contenders: names }, KINDS.stream, {
    count,
  });
  const runs = {};
  try {
    const able = contenders.filter(({ hostnames, startAgain }) => startAgain && hostnames.length === count);
    for (const { name } of able) runs[name] = [];
    for (let round = 0; round < world.starts; round++)
      for (const contender of able) runs[contender.name].push(await once(contender));
  } finally {
    await stop();
  }
  world.progress(
    `  ${count} services ${Object.entries(runs)
      .map(([name, all]) => `${name} ${Math.round(median(all.map(({ ms }) => ms)))}`)
      .join(', ')} ms`,
  );
  return [
    pickResult(`exec.${count}`, 'ms', runs, (run) => run.ms, { services: count }),
    pickResult(`exec.${count}.cpu`, 'CPU-ms', runs, (run) => run.cpuMs, { services: count }),
  ];
}

async function once({ port, hostnames, caFile, stages, startAgain }) {
  await stages.agent.stop();
  const visitor = script('until-served.mjs', { port, hostnames, caFile });
  try {
    await visitor.line((line) => line.ready);
    const startedAt = performance.now();
    const agent = startAgain();
    const { at } = await visitor.ask({}, 'served', 120_000);
    return { ms: at - startedAt, cpuMs: agent.cpuSeconds() * 1000 };
  } finally {
    await visitor.stop();
  }
}
