import { script } from '../lib/children.mjs';
import { HOSTNAME, startPortal } from '../lib/contenders.mjs';
import { result } from '../lib/figures.mjs';
import { startNginx } from '../lib/nginx.mjs';
import { pause } from '../lib/wait.mjs';

/** From the save of an edited target to the `applied` event. For nginx: from the save and SIGHUP to its new worker. */
export async function apply(world) {
  return [...(await edits(world, 1)), ...(await edits(world, 500))];
}

async function edits(world, count) {
  const ports = [];
  const services = [script('service.mjs'), script('service.mjs')];
  for (const service of services) ports.push((await service.line((line) => line.port)).port);
  const targets = (edited) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        index === 0 ? 'web' : `s${index}`,
        index === 0 ? edited : ports[0],
      ]),
    );
  const runs = { portal: [], against: [], nginx: [] };
  try {
    for (const name of ['portal', 'against']) {
      if (!world.contenders.includes(name)) continue;
      world.progress(`  ${name}: ${count} service${count === 1 ? '' : 's'} starting`);
      const root = name === 'portal' ? world.root : world.against;
      const portal = await startPortal(world, { services: targets(ports[0]), name, root, watch: true });
      const { agent } = portal.stages;
      await pause(1_000);
      for (let edit = 1; edit <= world.edits; edit++) {
        agent.forgetLines();
        const savedAt = performance.now();
        portal.write(targets(ports[edit % 2]));
        const { at, updated } = await agent.line((line) => line.event === 'applied');
        if (updated.join() !== 'web') throw new Error(`one edit updated ${JSON.stringify(updated)}`);
        runs[name].push(at - savedAt);
        await pause(300);
      }
      await portal.stop();
    }
    if (world.contenders.includes('nginx')) {
      const named = (edited) =>
        Object.fromEntries(
          Object.entries(targets(edited)).map(([key, port]) => [
            key === 'web' ? HOSTNAME : `${key}.localhost`,
            port,
          ]),
        );
      const nginx = await startNginx(world, { services: named(ports[0]) });
      for (let edit = 1; edit <= world.edits; edit++) {
        const savedAt = performance.now();
        nginx.write(named(ports[edit % 2]));
        runs.nginx.push((await nginx.reload()) - savedAt);
        await pause(300);
      }
      await nginx.stop();
    }
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
  const max = Object.fromEntries(
    Object.entries(runs).flatMap(([name, all]) =>
      all.length > 0 ? [[name, Math.round(Math.max(...all))]] : [],
    ),
  );
  world.progress(`  ${count}: max ${JSON.stringify(max)} ms`);
  return [result(`apply.${count}`, 'ms', runs, { services: count, max })];
}
