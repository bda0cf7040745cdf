import { script } from '../lib/children.mjs';
import { startPortal } from '../lib/contenders.mjs';
import { result } from '../lib/figures.mjs';
import { pause } from '../lib/wait.mjs';

/**
 * Hostile connections from 20 addresses or more, and how visitors and agents from other addresses are served
 * meanwhile. The attacker runs on the same cores, so part of the waiting time is its own work.
 */

const FLOODS = {
  none: { count: 0 },
  idle: { kind: 'idle', count: 10_000 },
  half: { kind: 'half', count: 5_000 },
  slow: { kind: 'slow', count: 2_000 },
  control: { kind: 'control', count: 1_000 },
  control64: { kind: 'control', count: 1_000, sources: 64 },
  control256: { kind: 'control', count: 1_000, sources: 256 },
  hello: { kind: 'hello', count: 1_000, sources: 256 },
  proof: { kind: 'proof', count: 1_000, sources: 256 },
  signIn: { kind: 'signIn', count: 100 },
};
const SOURCES = 20;
/** Warms up the compiler with a first visitor and a first agent before figures count. */
const WARM_UP_MS = 2_000;
const LOOK_MS = 250;
/** A client gives up after 30 seconds. */
const FIGURES_MS = 60_000;

export async function floods(world) {
  const results = [];
  for (const [name, flood] of Object.entries(FLOODS)) {
    const runs = { visits: {}, joins: {}, memory: {} };
    const seen = [];
    for (let round = 0; round < world.rounds; round++)
      for (const [contender, root] of roots(world)) {
        const figures = await once(world, root, flood);
        const { visits, joins, peakMB } = figures;
        (runs.visits[contender] ??= []).push(visits.p99 ?? Infinity);
        (runs.joins[contender] ??= []).push(joins.p99 ?? Infinity);
        (runs.memory[contender] ??= []).push(peakMB);
        seen.push({ contender, ...figures });
        world.progress(`  ${name} ${contender} ${JSON.stringify(figures)}`);
      }
    results.push(
      result(`floods.${name}.visits`, 'ms, p99', runs.visits, { seen }),
      result(`floods.${name}.joins`, 'ms, p99', runs.joins),
      result(`floods.${name}.memory.relay`, 'MB, most', runs.memory),
    );
  }
  return results;
}

const roots = ({ root, against }) => [...(against ? [['against', against]] : []), ['portal', root]];

async function once(world, root, { kind, count, sources = SOURCES }) {
  const service = script('service.mjs');
  const children = [service];
  let portal;
  try {
    const { port: target } = await service.line((line) => line.port);
    portal = await startPortal(world, { services: { web: target }, root });
    const { port, servername, caFile, relayUrl, relayCaFile, stages } = portal;
    const clients = script('clients.mjs', { root, url: relayUrl, relayCaFile, port, servername, caFile });
    children.push(clients);
    await clients.line((line) => line.started);
    await pause(WARM_UP_MS);
    await clients.ask({}, 'figures', FIGURES_MS);
    if (count > 0) {
      children.push(script('attack.mjs', { root, kind, count, sources, port }));
    }
    let peakBytes = 0;
    const before = stages.relay.cpuSeconds();
    const end = performance.now() + 5_000 * world.seconds;
    while (performance.now() < end) {
      await pause(LOOK_MS);
      peakBytes = Math.max(peakBytes, stages.relay.rssBytes());
    }
    const { figures } = await clients.ask({}, 'figures', FIGURES_MS);
    return { ...figures, peakMB: peakBytes / 1e6, cpuRelay: stages.relay.cpuSeconds() - before };
  } finally {
    for (const child of children.toReversed()) await child.stop();
    await portal?.stop();
  }
}
