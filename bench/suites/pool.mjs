import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { output, program, script } from '../lib/children.mjs';
import { HOSTNAME, profiled } from '../lib/contenders.mjs';
import { result } from '../lib/figures.mjs';
import { freePort, pause } from '../lib/wait.mjs';

/**
 * One relay of a pool is in use and fails: the time from the fault to the first visitor served through the replacement.
 * Then the failed relay recovers, and services must stay where they are.
 */

const FAULTS = {
  /** Its connections are reset. */
  kill: { do: 'SIGKILL', undo: (relay) => relay.start() },
  /** Its connections stay open but carry nothing. */
  freeze: { do: 'SIGSTOP', undo: (relay) => relay.child.process.kill('SIGCONT') },
};
/** Well above the promised time. */
const GIVE_UP_MS = 20_000;
/** The agent probes a candidate about every ten seconds. */
const KNOWN_WITHIN_MS = 30_000;
/** Services count as staying if they are still in place this long after the agent saw the relay recover. */
const WATCHED_MS = 3_000;

export async function pool(world) {
  const rounds = world.quick ? 1 : world.rounds * 3;
  const folder = world.folder('pool');
  const service = script('service.mjs');
  const relays = [await poolRelay(world, folder, 'one'), await poolRelay(world, folder, 'two')];
  const runs = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, []]));
  const hops = [];
  try {
    const { port } = await service.line((line) => line.port);
    for (const relay of relays) await relay.start();
    const list = relays.map(({ url, caFile }) => ({ url, ca: caFile }));
    writeFileSync(join(folder, 'relays.json'), JSON.stringify({ relays: list }));
    writeFileSync(
      join(folder, 'portal.yaml'),
      `version: 1\nrelays: { registry: relays.json, maxActive: 1 }\nservices: { web: ${port} }\n`,
    );
    for (const [name, fault] of Object.entries(FAULTS)) {
      for (let round = 0; round < rounds; round++) {
        const { seconds, moved } = await oneRound(world, folder, relays, fault, round === rounds - 1);
        runs[name].push(seconds);
        if (moved !== undefined) hops.push(moved);
        world.progress(`  ${name} ${world.describe({ seconds, moved })}`);
      }
    }
  } finally {
    for (const relay of relays) await relay.stop();
    await service.stop();
  }
  return [
    ...Object.entries(runs).map(([name, all]) =>
      result(`pool.${name}`, 's', { portal: all }, { max: { portal: Number(Math.max(...all).toFixed(2)) } }),
    ),
    result('pool.hops', 'moves', { portal: hops }),
  ];
}

/** Uses a new agent, which remembers no failure. */
async function oneRound(world, folder, relays, fault, watch) {
  const bin = join(world.root, 'bin/portal.js');
  const file = join(folder, 'portal.yaml');
  const env = { PORTAL_HOME: join(folder, 'agent'), PORTAL_ALLOW: '1' };
  const agent = program('portal up', [bin, 'up', '--json', '--file', file], {
    env,
    nodeArgs: profiled(world.profile, 'pool-agent'),
  });
  try {
    const { ca } = await agent.line((line) => line.event === 'started');
    const { services } = await agent.line((line) => line.event === 'ready');
    const failing = relays.find(({ port }) => port === Number(new URL(services.web.urls[0]).port));
    const other = relays.find((relay) => relay !== failing);
    const visitor = { port: other.port, ca: readFileSync(ca) };
    // The agent probes the other candidate before the failure, as it normally does.
    await known(bin, file, env, other.url);
    const failedAt = performance.now();
    failing.child.process.kill(fault.do);
    const seconds = (await firstServed(visitor, failedAt)) / 1000;
    await fault.undo(failing);
    if (!watch) return { seconds };
    await agent.line((line) => line.phase === 'closed' && line.relay === failing.url, GIVE_UP_MS);
    agent.forgetLines();
    await known(bin, file, env, failing.url);
    await pause(WATCHED_MS);
    const moved = await agent
      .line((line) => line.event === 'lease', 1)
      .then(
        () => 1,
        () => 0,
      );
    return { seconds, moved };
  } finally {
    await agent.stop();
  }
}

/** Visitors come one after another until one is served. Resolves with the milliseconds since `since`. */
async function firstServed(visitor, since) {
  while (!(await served(visitor))) {
    if (performance.now() - since > GIVE_UP_MS) throw new Error('no relay replaced the one that failed');
    await pause(5);
  }
  return performance.now() - since;
}

function served({ port, ca }) {
  return new Promise((resolve) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        servername: HOSTNAME,
        ca,
        agent: false,
        headers: { host: HOSTNAME },
        timeout: 500,
      },
      (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode === 200));
        response.once('error', () => resolve(false));
      },
    );
    asked.once('error', () => resolve(false));
    asked.once('timeout', () => asked.destroy(new Error('no response')));
    asked.end();
  });
}

/** Resolves once the agent considers the relay at `url` healthy. */
async function known(bin, file, env, url) {
  for (const until = performance.now() + KNOWN_WITHIN_MS; performance.now() < until; await pause(200)) {
    const lines = await output('env', [
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
      process.execPath,
      bin,
      'list',
      '--json',
      '--file',
      file,
    ]);
    const relays = lines
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    if (relays.some((relay) => relay.url === url && relay.health === 'healthy')) return;
  }
  throw new Error(`${url} was not healthy within ${KNOWN_WITHIN_MS} ms`);
}

/** A `portal relay` that can be restarted at the same address. */
async function poolRelay(world, folder, name) {
  const home = join(folder, name);
  mkdirSync(home, { mode: 0o700 });
  const port = await freePort();
  return {
    port,
    async start() {
      const args = ['relay', '--json', '--log-level=warn', `--listen=127.0.0.1:${port}`];
      this.child = program('portal relay', [join(world.root, 'bin/portal.js'), ...args], {
        env: { PORTAL_HOME: home },
        nodeArgs: profiled(world.profile, `pool-relay-${name}`),
      });
      const { url, ca } = await this.child.line((line) => line.event === 'listening');
      Object.assign(this, { url, caFile: ca });
    },
    async stop() {
      this.child?.process.kill('SIGCONT');
      await this.child?.stop();
    },
  };
}
