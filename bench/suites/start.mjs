import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, output, script } from '../lib/children.mjs';
import { median, result, round } from '../lib/figures.mjs';

/** The waiting time before anything is published: the install, a command that only prints, `portal up`. */
export async function start(world) {
  const roots = { portal: world.root, ...(world.against && { against: world.against }) };
  return [
    ...(await installs(world, roots)),
    ...(await commands(world, roots)),
    ...(await ups(world, roots, 1, world.starts)),
    ...(await ups(world, roots, 30, Math.ceil(world.starts / 2))),
    ...(await ups(world, roots, 100, Math.ceil(world.starts / 2))),
    ...(await ups(world, roots, 300, world.rounds)),
  ];
}

/** Packages, bytes and files of an install from the packed checkout. */
async function installs(world, roots) {
  const runs = { packages: {}, MB: {}, files: {} };
  for (const [name, root] of Object.entries(roots)) {
    const folder = world.folder('install');
    const flags = ['--ignore-scripts', '--json', '--pack-destination', folder];
    const [{ filename }] = JSON.parse(await output('npm', ['pack', root, ...flags]));
    const quiet = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
    await output('npm', ['install', '--global', '--prefix', folder, ...quiet, join(folder, filename)], {
      ms: 300_000,
    });
    const { packages, bytes, files } = contents(join(folder, 'lib'));
    for (const [unit, value] of Object.entries({ packages, MB: bytes / 1e6, files }))
      runs[unit][name] = [value];
    world.progress(`  ${name}: ${packages} packages, ${round(bytes / 1e6, 3)} MB, ${files} files`);
  }
  return Object.entries(runs).map(([unit, of]) => result(`start.install.${unit}`, unit, of));
}

function contents(folder) {
  const found = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return {
    packages: found.filter((path) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path)).length,
    bytes: found.reduce((sum, path) => sum + lstatSync(path).size, 0),
    files: found.length,
  };
}

/** Commands that print and exit, alternating with node on an empty module. */
async function commands(world, roots) {
  const folder = world.folder('commands');
  const empty = join(folder, 'empty.mjs');
  writeFileSync(empty, '');
  writeFileSync(join(folder, 'portal.yaml'), configuration(Array.from({ length: 10 }, () => 3000)));
  const results = [];
  for (const [command, args] of Object.entries({
    help: ['--help'],
    validate: ['validate', '-f', join(folder, 'portal.yaml')],
  })) {
    const runs = { node: [] };
    const startOf = { node: [empty] };
    for (const [name, root] of Object.entries(roots)) {
      runs[name] = [];
      startOf[name] = [join(root, 'bin/portal.js'), ...args];
    }
    const once = async (name) => {
      const startedAt = performance.now();
      await output(process.execPath, startOf[name], { env: { PORTAL_HOME: join(folder, name) } });
      return performance.now() - startedAt;
    };
    for (const name of Object.keys(runs)) await once(name);
    for (let index = 0; index < world.starts; index++)
      for (const name of Object.keys(runs)) runs[name].push(await once(name));
    const overNode = Object.fromEntries(
      Object.keys(roots).map((name) => [name, runs[name].map((ms, index) => ms - runs.node[index])]),
    );
    world.progress(`  ${command}, over node: ${described(overNode)} ms`);
    results.push(result(`start.${command}`, 'ms', runs, { spread: spreadOf(runs) }));
    results.push(result(`start.${command}.overNode`, 'ms', overNode, { spread: spreadOf(overNode) }));
  }
  return results;
}

/** From the start of `portal up` with `count` services and an embedded relay until all are ready. */
async function ups(world, roots, count, times) {
  const service = script('service.mjs');
  const { port } = await service.line((line) => line.port);
  const runs = {};
  const cpus = {};
  const once = async (name, folder) => {
    const args = [join(roots[name], 'bin/portal.js'), 'up', '--json'];
    const startedAt = performance.now();
    const agent = new Child(`${name} up`, process.execPath, args, {
      env: { PORTAL_HOME: join(folder, 'home'), PORTAL_ALLOW: '1' },
      cwd: folder,
    });
    const { at } = await agent.line((line) => line.event === 'ready', 120_000);
    const cpu = agent.cpuSeconds() * 1_000;
    await agent.stop();
    return { ms: at - startedAt, cpu };
  };
  try {
    const folders = {};
    for (const name of Object.keys(roots)) {
      folders[name] = join(world.folder('up'), name);
      mkdirSync(folders[name]);
      writeFileSync(
        join(folders[name], 'portal.yaml'),
        configuration(Array.from({ length: count }, () => port)),
      );
      runs[name] = [];
      cpus[name] = [];
      // The first start creates the identity and the CA, and fills V8's cache.
      await once(name, folders[name]);
    }
    for (let index = 0; index < times; index++)
      for (const name of Object.keys(roots)) {
        const spent = await once(name, folders[name]);
        runs[name].push(spent.ms);
        cpus[name].push(spent.cpu);
      }
  } finally {
    await service.stop();
  }
  world.progress(`  up, ${count} services: ${described(runs)} ms; CPU: ${described(cpus)} ms`);
  return [
    result(`start.up.${count}`, 'ms', runs, { services: count, spread: spreadOf(runs) }),
    result(`start.up.${count}.cpu`, 'CPU-ms', cpus, { services: count, spread: spreadOf(cpus) }),
  ];
}

const configuration = (ports) =>
  ['version: 1', 'services:', ...ports.map((port, index) => `  s${index}: ${port}`), ''].join('\n');

/** The lowest and the highest run. */
const spreadOf = (runs) =>
  Object.fromEntries(
    Object.entries(runs).map(([name, all]) => [
      name,
      [Math.min(...all), Math.max(...all)].map((ms) => round(ms)),
    ]),
  );

const described = (runs) =>
  Object.entries(runs)
    .map(([name, all]) => `${name} ${round(median(all), 3)}`)
    .join(', ');
