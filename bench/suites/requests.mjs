import { Child, output, script } from '../lib/children.mjs';
import { KINDS, startContenders, variant } from '../lib/contenders.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';

const CONNECTIONS = 32;
/** After this many requests, the CPU seconds of a request in mode http fall no further. */
const WARM_REQUESTS = 60_000;
const LUA = new URL('../children/wrk.lua', import.meta.url).pathname;

/** Small requests over kept-alive connections. Each waits for the response to the previous one. */
export const requests = (world) => small(world, 'requests', KINDS.stream);
/** The same through mode http, which reads each request. nginx is a reverse proxy. */
export const http = (world) => small(world, 'http', KINDS.http);
/** Mode http compared with `inspect: true`, with and without a history, while no page is open. */
export const inspect = (world) => small(world, 'inspect', KINDS.inspect);
/** The same from visitors over HTTP/2. The service does not speak HTTP/2, so there is no direct contender. */
export const http2 = (world) => {
  if (!world.hey) return [];
  const contenders = world.contenders.filter((name) => name !== 'direct');
  return small({ ...world, contenders }, 'http2', KINDS.http, withHey);
};

/** The client of small requests over kept-alive connections. */
export const atFullSpeed = (world) => (world.wrk ? withWrk : withNode);

export async function small(world, name, kind, client = atFullSpeed(world)) {
  const all = await requestRuns(world, kind, client);
  return Object.keys(kind.variants).flatMap((suffix) =>
    requestFigures(`${name}${suffix.replace(' ', '.')}`, variant(all, suffix), client),
  );
}

export function requestRuns(world, kind, client) {
  const load = async (contender, measure) => {
    const run = await client(world, contender, measure);
    if (run.failures > 0) throw new Error(`${run.failures} requests to ${contender.name} failed`);
    return { ...run, work: run.requests, enough: WARM_REQUESTS };
  };
  return inTurns(world, load, (theirs) => startContenders(theirs, kind));
}

export function requestFigures(name, runs, client) {
  const more = { client: CLIENTS.get(client), connections: CONNECTIONS };
  return [
    pickResult(name, 'requests/s', runs, (run) => run.requests / run.seconds, more),
    pickResult(`${name}.p50`, 'ms', runs, (run) => run.p50Ms),
    pickResult(`${name}.p99`, 'ms', runs, (run) => run.p99Ms),
    pickResult(`${name}.cpu.relay`, 'CPU-µs/request', runs, perRequest('relay')),
    pickResult(`${name}.cpu.agent`, 'CPU-µs/request', runs, perRequest('agent')),
    // The rate that its agent could reach with a whole core.
    pickResult(`${name}.perAgentCore`, 'requests/CPU-s', runs, (run) =>
      run.cpu.agent > 0 ? run.requests / run.cpu.agent : undefined,
    ),
  ];
}

const perRequest = (stage) => (run) => (run.cpu[stage] / run.requests) * 1e6;

async function withWrk({ seconds }, { port, servername = '127.0.0.1', caFile }, measure) {
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
  return done;
}

/** All requests in one connection, as a browser sends them. */
async function withHey({ seconds }, { port, servername }, measure) {
  const args = ['-h2', '-c', CONNECTIONS, '-z', `${seconds}s`, '-host', servername].map(String);
  measure.begin();
  const report = await output('hey', [...args, `https://127.0.0.1:${port}/`], { ms: (seconds + 20) * 1000 });
  const number = (pattern) => Number(pattern.exec(report)?.[1]);
  const [distribution, errors = ''] = report.split('Error distribution:');
  const answered = number(/\[200\]\s+(\d+) responses/);
  if (!answered) throw new Error(`hey got no response\n${report.slice(-500)}`);
  return {
    requests: answered,
    seconds: number(/Total:\s+([\d.]+) secs/),
    p50Ms: number(/50% in ([\d.]+) secs/) * 1000,
    p99Ms: number(/99% in ([\d.]+) secs/) * 1000,
    failures: Number(/\[[^2]\d\d\]\s+(\d+) responses/.exec(distribution)?.[1] ?? 0) + heyErrors(errors),
  };
}

const heyErrors = (text) =>
  [...text.matchAll(/^\s*\[(\d+)\]/gm)].reduce((sum, [, count]) => sum + Number(count), 0);

const CLIENTS = new Map([
  [withWrk, 'wrk'],
  [withNode, 'node'],
  [withHey, 'hey'],
]);
