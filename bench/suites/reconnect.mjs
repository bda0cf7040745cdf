import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { program, script } from '../lib/children.mjs';
import { profiled } from '../lib/contenders.mjs';
import { result } from '../lib/figures.mjs';
import { freePort } from '../lib/wait.mjs';

/**
 * A relay with many agents stops and restarts: the time from its first line until all agents are connected again. The
 * agents share one process, whose CPU is part of the time.
 */
export async function reconnect(world) {
  const count = world.quick ? 50 : 500;
  const home = join(world.folder('reconnect'), 'relay');
  mkdirSync(home, { mode: 0o700 });
  const [port, metricsPort] = [await freePort(), await freePort()];
  const start = async () => {
    const relay = program(
      'portal relay',
      [
        join(world.root, 'bin/portal.js'),
        'relay',
        '--json',
        '--log-level=warn',
        `--listen=127.0.0.1:${port}`,
        `--metrics=${metricsPort}`,
      ],
      { env: { PORTAL_HOME: home }, nodeArgs: profiled(world.profile, 'reconnect-relay') },
    );
    return { relay, listening: await relay.line((line) => line.event === 'listening') };
  };
  const runs = { back: [], 'cpu.relay': [] };
  const refused = [];
  let { relay, listening } = await start();
  const { url, ca: caFile } = listening;
  const agents = script('agents.mjs', { root: world.root, url, caFile, count });
  try {
    await agents.line((line) => line.connected === count, 120_000);
    for (let round = 0; round < world.rounds; round++) {
      agents.forgetLines();
      await relay.stop();
      await agents.line((line) => line.connected === 0, 30_000);
      agents.forgetLines();
      ({ relay, listening } = await start());
      const before = relay.cpuSeconds();
      const { at } = await agents.line((line) => line.connected === count, 120_000);
      runs.back.push((at - listening.at) / 1000);
      runs['cpu.relay'].push(relay.cpuSeconds() - before);
      refused.push(await deferredHandshakes(metricsPort));
      world.progress(
        `  ${count} agents ${world.describe({ back: runs.back.at(-1), cpu: runs['cpu.relay'].at(-1), deferredHandshakes: refused.at(-1) })}`,
      );
    }
  } finally {
    await agents.stop();
    await relay.stop();
  }
  return [
    result('reconnect', 's', { portal: runs.back }, { agents: count, deferredHandshakes: refused }),
    result('reconnect.cpu.relay', 'CPU-s', { portal: runs['cpu.relay'] }, { agents: count }),
  ];
}

/** How many handshakes the relay deferred. */
async function deferredHandshakes(port) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^portal_relay_rejected_total\{limit="maxHandshakes"\} (\d+)/m.exec(text)?.[1] ?? 0);
}
