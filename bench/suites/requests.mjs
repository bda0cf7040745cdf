import { Child, script } from '../lib/children.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';

const CONNECTIONS = 32;
const LUA = new URL('../children/wrk.lua', import.meta.url).pathname;

/** Small requests over kept-alive connections, each answered before the next is asked. */
export async function requests(world) {
  const runs = await inTurns(world, async (contender, measure) => {
    const run = world.wrk
      ? await withWrk(world, contender, measure)
      : await withNode(world, contender, measure);
    if (run.failures > 0) throw new Error(`${run.failures} requests to ${contender.name} failed`);
    return run;
  });
  const client = { client: world.wrk ? 'wrk' : 'node', connections: CONNECTIONS };
  return [
    pickResult('requests', 'requests/s', runs, (run) => run.requests / run.seconds, client),
    pickResult('requests.p50', 'ms', runs, (run) => run.p50Ms),
    pickResult('requests.p99', 'ms', runs, (run) => run.p99Ms),
    pickResult('requests.cpu.relay', 'CPU-µs/request', runs, perRequest('relay')),
    pickResult('requests.cpu.agent', 'CPU-µs/request', runs, perRequest('agent')),
  ];
}

const perRequest = (stage) => (run) => (run.cpu[stage] / run.requests) * 1e6;

async function withWrk(world, { port, servername = '127.0.0.1', caFile }, measure) {
  const { seconds } = world;
  const url = `${caFile ? 'https' : 'http'}://${servername}:${port}/`;
  measure.begin();
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${Math.ceil(seconds)}s`, '-s', LUA, url];
  const wrk = new Child('wrk', 'wrk', args);
  const done = await wrk.line((line) => line.requests !== undefined, (seconds + 20) * 1000);
  await wrk.exited();
  return {
    requests: done.requests,
    seconds: done.microseconds / 1e6,
    p50Ms: done.p50 / 1000,
    p99Ms: done.p99 / 1000,
    failures: done.failures,
  };
}

async function withNode({ seconds }, { port, servername, caFile }, measure) {
  const client = script('requests.mjs', { port, servername, caFile, seconds, concurrency: CONNECTIONS });
  await client.line((line) => line.started);
  measure.begin();
  const done = await client.line((line) => line.done, (seconds + 20) * 1000);
  await client.stop();
  return { ...done, failures: 0 };
}
