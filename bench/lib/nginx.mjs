import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, script } from './children.mjs';
import { addsTls, byServerName, endsTls, reverseProxy, streamModule, whole } from './nginx-conf.mjs';
import { childrenOf } from './proc.mjs';
import { freePort, until } from './wait.mjs';

/**
 * The same work without the tunnel, by two nginx: one acts as the relay, the other as the agent. Each has one worker
 * by default, because Portal has one thread each. Certificate and cipher are the same.
 */
const STAGES = {
  stream: { relay: byServerName, agent: endsTls },
  http: { relay: byServerName, agent: reverseProxy },
  tcp: { relay: addsTls, agent: endsTls },
};

const hasWorkers = ({ pid }, count) => childrenOf(pid).length >= count;

/** Why nginx cannot be measured here, or undefined. */
export function nginxMissing() {
  let built;
  try {
    built = execFileSync('nginx', ['-V'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    built += execFileSync('sh', ['-c', 'nginx -V 2>&1'], { encoding: 'utf8' });
  } catch {
    return 'nginx is not installed (Debian: apt-get install nginx-light libnginx-mod-stream)';
  }
  if (!/--with-stream\b/.test(built)) return 'this nginx was built without the stream module';
  if (/--with-stream=dynamic/.test(built) && !streamModule())
    return 'nginx has no stream module (Debian: apt-get install libnginx-mod-stream)';
  return undefined;
}

export function nginxVersion() {
  return execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }).trim().split('/').at(-1);
}

/**
 * `services` is {hostname: port of the local service}. Mode tcp has one entry, because nothing in its traffic
 * distinguishes services. `workers` are those of the first stage.
 */
export async function startNginx(world, { services, mode = 'stream', name: ours = 'nginx', workers = 1 }) {
  const folder = world.folder('nginx');
  const hostnames = Object.keys(services);
  const certificate = await world.certificate(folder, hostnames);
  const [publicPort, agentPort] = await Promise.all([freePort(), freePort()]);
  const write = (name, port, targets) =>
    writeFileSync(
      join(folder, `${name}.conf`),
      whole(
        name,
        folder,
        STAGES[mode][name]({ port, targets, certificate, folder }),
        name === 'relay' ? workers : 1,
      ),
    );
  write('relay', publicPort, Object.fromEntries(hostnames.map((hostname) => [hostname, agentPort])));
  write('agent', agentPort, services);
  const start = (name) =>
    new Child(`nginx ${name}`, 'nginx', ['-e', 'stderr', '-p', folder, '-c', join(folder, `${name}.conf`)]);
  const stages = { relay: start('relay'), agent: start('agent') };
  const contender = {
    name: ours,
    hostnames,
    port: publicPort,
    /** Where the second stage listens. */
    agentPort,
    ...(mode !== 'tcp' && { servername: hostnames[0], caFile: certificate.ca }),
    stages,
    startAgain: () => (stages.agent = start('agent')),
    write: (targets) => write('agent', agentPort, targets),
    /** Makes the second stage reload its file. Resolves once a new worker has taken over. */
    async reload() {
      const { pid } = stages.agent;
      const before = new Set(childrenOf(pid));
      process.kill(pid, 'SIGHUP');
      await until(() => childrenOf(pid).some((worker) => !before.has(worker)), 'a new worker', {
        everyMs: 1,
      });
      return performance.now();
    },
    async stop() {
      await Promise.all(Object.values(stages).map((stage) => stage.stop()));
    },
  };
  await until(() => hasWorkers(stages.relay, workers) && hasWorkers(stages.agent, 1), "nginx's workers");
  await oneVisit(contender);
  return contender;
}

/** Throws if a visitor gets no response within `ms`. */
export async function oneVisit({ name, port, servername, caFile }, ms = 30_000) {
  const visitor = script('idle.mjs', { port, servername, caFile, count: 1 });
  try {
    const { error } = await visitor.line((line) => line.open || line.error, ms);
    if (error) throw new Error(`${name} served no visitor: ${error}`);
  } finally {
    await visitor.stop();
  }
}
