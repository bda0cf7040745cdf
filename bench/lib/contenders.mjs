import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program, script } from './children.mjs';
import { startNginx } from './nginx.mjs';

/**
 * The ways to the service that are compared. Each is
 * {name, port, servername?, caFile?, stages: {relay, agent}, stop()}: where a visitor connects, as whom, and
 * which processes do what the relay and what the agent does. Without a server name the visitor speaks plain HTTP.
 */

export const HOSTNAME = 'web.localhost';

/** Starts the service and every contender that `world.contenders` names. */
export async function startContenders(world) {
  const service = script('service.mjs');
  const { port } = await service.line((line) => line.port);
  const starts = {
    portal: () => startPortal(world, { services: { web: port } }),
    against: () => startPortal(world, { services: { web: port }, root: world.against, name: 'against' }),
    nginx: () => startNginx(world, { services: { [HOSTNAME]: port } }),
    direct: async () => ({ name: 'direct', port, stages: {}, stop: async () => undefined }),
  };
  const contenders = [];
  for (const name of world.contenders) contenders.push(await starts[name]());
  return {
    contenders,
    service,
    async stop() {
      for (const contender of contenders) await contender.stop();
      await service.stop();
    },
  };
}

/** `portal relay` and `portal up`, as a user starts them, each in a home of its own. */
export async function startPortal(
  world,
  { services, root = world.root, name = 'portal', watch = false, profile = world.profile },
) {
  const bin = join(root, 'bin/portal.js');
  const folder = world.folder(name);
  const start = (role, args) => {
    const home = join(folder, role);
    mkdirSync(home, { mode: 0o700 });
    const nodeArgs = profile
      ? [
          '--cpu-prof',
          '--cpu-prof-dir',
          profile,
          '--cpu-prof-name',
          `${name}-${role}-${process.hrtime.bigint()}.cpuprofile`,
        ]
      : [];
    return program(`${name} ${role}`, [bin, ...args], { env: { PORTAL_HOME: home }, nodeArgs });
  };
  const relay = start('relay', ['relay', '--json', '--listen', '127.0.0.1:0', '--log-level', 'warn']);
  const { url, ca } = await relay.line((line) => line.event === 'listening');
  const file = join(folder, 'portal.yaml');
  const write = (targets) =>
    writeFileSync(
      file,
      [
        'version: 1',
        `relays: { urls: [{ url: ${url}, ca: ${ca} }] }`,
        'services:',
        ...Object.entries(targets).map(([key, port]) => `  ${key}: ${port}`),
        '',
      ].join('\n'),
    );
  write(services);
  const agent = start('agent', ['up', '--json', '-f', file, ...(watch ? [] : ['--no-watch'])]);
  const { ca: caFile } = await agent.line((line) => line.event === 'started');
  await agent.line((line) => line.event === 'ready', 120_000);
  return {
    name,
    port: Number(new URL(url).port),
    servername: HOSTNAME,
    caFile,
    stages: { relay, agent },
    write,
    async stop() {
      await agent.stop();
      await relay.stop();
    },
  };
}
