import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, program } from './children.mjs';
import { postgresMissing, startPostgres } from './postgres.mjs';
import { freePort, until } from './wait.mjs';

/** Why a relay of several nodes cannot be measured here, or undefined. */
export function nodesMissing() {
  try {
    execFileSync('haproxy', ['-v'], { stdio: 'ignore' });
  } catch {
    return 'haproxy is not installed (Debian: apt-get install haproxy)';
  }
  return postgresMissing();
}

/**
 * A relay of `count` nodes with PostgreSQL behind HAProxy, and an agent with all `services`. Resolves with the nodes, each with
 * its own port for visitors and `metric(series)`. Connections of
 * the agent arrive at the first `agentAt` nodes in turns.
 */
export async function startNodes(world, { count, services, agentAt = count, readyWithinMs }) {
  const folder = world.folder('nodes');
  const database = await startPostgres(world);
  const publicPort = await freePort();
  const start = (role, home, args) => {
    mkdirSync(join(folder, home), { mode: 0o700, recursive: true });
    const env = { PORTAL_HOME: join(folder, home), PORTAL_ALLOW: '1', PORTAL_CLUSTER: database.url };
    return program(role, [join(world.root, 'bin/portal.js'), ...args], { env });
  };
  const startNode = async (name) => {
    // All nodes share the identity and the CA of one folder.
    const process = start(name, 'relay', [
      'relay',
      '--json',
      '--log-level=warn',
      '--listen=127.0.0.1:0',
      `--public-port=${publicPort}`,
      `--node-address=127.0.0.1:${await freePort()}`,
      '--metrics=127.0.0.1:0',
      ...LIMITS.map((limit) => `--limit=${limit}`),
    ]);
    const { addresses, ca, metrics } = await process.line((line) => line.event === 'listening');
    const metric = async (series) => {
      const text = await (await fetch(metrics)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')[1],
      );
    };
    return { name, process, ca, metric, port: Number(addresses[0].split(':').at(-1)) };
  };
  const nodes = [];
  while (nodes.length < count) nodes.push(await startNode(`node${nodes.length + 1}`));
  const balancer = await startHaproxy(folder, publicPort, nodes.slice(0, agentAt));
  const file = join(folder, 'portal.yaml');
  const relays = { urls: [{ url: `https://localhost:${publicPort}`, ca: nodes[0].ca }] };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ version: 1, relays, services }));
  const agent = start('agent', 'agent', ['up', '--json', '--no-watch', '-f', file]);
  const { ca: caFile, at: startedAt } = await agent.line((line) => line.event === 'started');
  const ready = await agent.line((line) => line.event === 'ready', readyWithinMs);
  return {
    nodes,
    caFile,
    readyMs: ready.at - startedAt,
    async stop() {
      for (const child of [agent, balancer, ...nodes.map(({ process }) => process)]) await child.stop();
      await database.stop();
    },
  };
}

/** All services of a benchmark have the same owner and address. */
const LIMITS = [
  'maxLeasesPerSession=100000',
  'maxLeasesPerIdentity=100000',
  'maxReservedNamesPerIdentity=100000',
  'maxReservedNamesPerAddress=100000',
  'maxNewNamesPerIdentity=100000',
  'maxNewNamesPerAddress=100000',
];

/** Each connection goes to the next node. */
async function startHaproxy(folder, port, nodes) {
  const file = join(folder, 'haproxy.cfg');
  const servers = nodes.map((node) => `  server ${node.name} 127.0.0.1:${node.port}`);
  writeFileSync(
    file,
    `defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen relay
  bind 127.0.0.1:${port}
  balance roundrobin
${servers.join('\n')}
`,
  );
  const child = new Child('haproxy', 'haproxy', ['-db', '-f', file]);
  await until(
    () =>
      fetch(`http://127.0.0.1:${port}`).then(
        () => true,
        ({ cause }) => cause?.code !== 'ECONNREFUSED',
      ),
    'HAProxy',
  );
  return child;
}
