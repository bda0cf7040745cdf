import { script } from '../lib/children.mjs';
import { startPortal } from '../lib/contenders.mjs';
import { result } from '../lib/figures.mjs';
import { pause } from '../lib/wait.mjs';

/** How many services and visitors one agent and one relay can hold. */

/** Many services on one agent: the time until all are verified as reachable, and their cost. */
export async function services(world) {
  const count = world.quick ? 100 : 1_000;
  const service = script('service.mjs');
  const runs = { ready: [], 'cpu.relay': [], 'cpu.agent': [], 'rss.relay': [], 'rss.agent': [] };
  try {
    const { port } = await service.line((line) => line.port);
    const declared = Object.fromEntries(
      Array.from({ length: count }, (_, index) => [index === 0 ? 'web' : `s${index}`, port]),
    );
    for (let round = 0; round < world.rounds; round++) {
      const portal = await startPortal(world, { services: declared, readyWithinMs: 300_000 });
      runs.ready.push(portal.readyMs / 1000);
      await noteCosts(portal.stages, runs);
      await portal.stop();
      world.progress(`  ${count} services ${world.describe(last(runs))}`);
    }
  } finally {
    await service.stop();
  }
  return results('services', runs, { services: count });
}

/** Many idle visitors, and some who send a request every second: how much the idle ones slow the others down. */
export async function load(world) {
  const idle = world.quick ? 500 : 5_000;
  const active = world.quick ? 50 : 500;
  const seconds = world.quick ? 3 : 10;
  const service = script('service.mjs');
  const runs = { open: [], 'alone.p50': [], 'alone.p99': [], p50: [], p99: [] };
  for (const stage of ['relay', 'agent']) Object.assign(runs, { [`cpu.${stage}`]: [], [`rss.${stage}`]: [] });
  try {
    const { port } = await service.line((line) => line.port);
    for (let round = 0; round < world.rounds; round++) {
      // All visitors of a benchmark have the same address.
      const relayArgs = ['--limit=maxConnectionsPerAddress=0'];
      const portal = await startPortal(world, { services: { web: port }, relayArgs });
      const alone = await ask(portal, { count: active, seconds });
      runs['alone.p50'].push(alone.p50Ms);
      runs['alone.p99'].push(alone.p99Ms);
      const begunAt = performance.now();
      const { servername, caFile } = portal;
      const crowd = script('idle.mjs', { port: portal.port, servername, caFile, count: idle });
      const { error, at } = await crowd.line((line) => line.open === idle || line.error, 120_000);
      if (error) throw new Error(`a visitor was not served: ${error}`);
      runs.open.push((at - begunAt) / 1000);
      await pause(1_000);
      const before = cpuOf(portal.stages);
      const both = await ask(portal, { count: active, seconds });
      const after = cpuOf(portal.stages);
      runs.p50.push(both.p50Ms);
      runs.p99.push(both.p99Ms);
      for (const stage of Object.keys(after))
        runs[`cpu.${stage}`].push((100 * (after[stage] - before[stage])) / both.seconds);
      await noteMemory(portal.stages, runs);
      await crowd.stop();
      await portal.stop();
      world.progress(`  ${idle} idle, ${active} active ${world.describe(last(runs))}`);
    }
  } finally {
    await service.stop();
  }
  return results('load', runs, { idle, active });
}

async function ask({ port, servername, caFile }, { count, seconds }) {
  const visitors = script('paced.mjs', { port, servername, caFile, count, seconds, everyMs: 1_000 });
  const done = await visitors.line((line) => line.done || line.error, (seconds + 60) * 1000);
  await visitors.stop();
  if (done.error) throw new Error(`a visitor was not served: ${done.error}`);
  return done;
}

async function noteCosts(stages, runs) {
  for (const [stage, seconds] of Object.entries(cpuOf(stages))) runs[`cpu.${stage}`].push(seconds);
  await noteMemory(stages, runs);
}

async function noteMemory(stages, runs) {
  for (const [stage, child] of Object.entries(stages))
    runs[`rss.${stage}`].push((await child.residentBytes()) / 1e6);
}

function cpuOf(stages) {
  return Object.fromEntries(Object.entries(stages).map(([stage, child]) => [stage, child.cpuSeconds()]));
}

const last = (runs) => Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, all.at(-1)]));

function results(suite, runs, more) {
  const unitOf = (name) => {
    if (name.startsWith('rss')) return 'MB';
    if (name.startsWith('cpu')) return suite === 'load' ? '% of a core' : 'CPU-s';
    return /p\d\d$/.test(name) ? 'ms' : 's';
  };
  return Object.entries(runs).map(([name, values]) =>
    result(`${suite}.${name}`, unitOf(name), { portal: values }, more),
  );
}
