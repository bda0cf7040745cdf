import { program } from '../lib/children.mjs';
import { result } from '../lib/figures.mjs';

const SCRIPT = new URL('../children/directory.mjs', import.meta.url).pathname;
const SEED = 1;

/**
 * What the nodes of a large relay know of all its leases: 100,000 names at 50 nodes, in one process. Memory and CPU are
 * measured; the times after the death of a node are simulated, and the same in each run.
 */
export async function directory(world) {
  const scale = world.quick
    ? { nodes: 5, names: 2_000, churn: 100 }
    : { nodes: 50, names: 100_000, churn: 1_000 };
  const options = { root: world.root, seed: SEED, ...scale };
  const runs = {};
  const note = (name, value) => (runs[name] ??= []).push(value);
  for (let round = 0; round < world.rounds; round++) {
    const child = program('directory', [SCRIPT, JSON.stringify(options)], {
      nodeArgs: ['--max-old-space-size=8192'],
    });
    try {
      const loaded = await child.line((line) => line.heapMB, 600_000);
      note('heap', loaded.heapMB);
      note('load', loaded.loadMs);
      const heard = [];
      const done = await child.line((line) => {
        if (line.hearUs !== undefined) heard.push(line);
        return line.done;
      }, 600_000);
      for (const { hearUs, bytes } of new Set(heard)) {
        note('hear', hearUs);
        note('bytes', bytes);
      }
      note('death.leases', done.places);
      note('death.messages', done.messages);
      note('death.cpu', done.cpuMs);
      note('death.found', done.convergedMs / 1_000);
      note('death.noticed', done.noticedMs / 1_000);
      world.progress(
        `  ${world.describe(Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, all.at(-1)])))}`,
      );
    } finally {
      await child.stop();
    }
  }
  return Object.entries(runs).map(([name, values]) =>
    result(`directory.${name}`, UNITS[name], { portal: values }, scale),
  );
}

const UNITS = {
  heap: 'MB/node',
  load: 'CPU-ms/node',
  hear: 'CPU-µs/message',
  bytes: 'bytes/message',
  'death.leases': 'leases',
  'death.messages': 'messages',
  'death.cpu': 'CPU-ms/node',
  'death.found': 's',
  'death.noticed': 's',
};
