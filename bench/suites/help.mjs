import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output } from '../lib/children.mjs';
import { median, result, round } from '../lib/figures.mjs';

/** `portal --help` beside node with an empty module: what a person waits for beyond Node itself. */
export async function help(world) {
  const empty = join(world.folder('help'), 'empty.mjs');
  writeFileSync(empty, '');
  const commands = { node: [empty], portal: [join(world.root, 'bin/portal.js'), '--help'] };
  if (world.against) commands.against = [join(world.against, 'bin/portal.js'), '--help'];
  const runs = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  for (const args of Object.values(commands)) await output(process.execPath, args);
  for (let index = 0; index < world.starts; index++) {
    for (const [name, args] of Object.entries(commands)) {
      const startedAt = performance.now();
      await output(process.execPath, args);
      runs[name].push(performance.now() - startedAt);
    }
  }
  const over = (name) => runs[name].map((ms, index) => ms - runs.node[index]);
  const overNode = Object.fromEntries(
    Object.keys(commands)
      .slice(1)
      .map((name) => [name, over(name)]),
  );
  world.progress(`  over node: ${round(median(over('portal')), 3)} ms`);
  return [result('help', 'ms', runs), result('help.overNode', 'ms', overNode)];
}
