import { output, script } from '../lib/children.mjs';
import { KINDS, startContenders } from '../lib/contenders.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';

const CONCURRENCY = 32;
/**
 * After this many visitors, Node has compiled the code for a visitor. The first visitors cost relay and agent twice
 * as much.
 */
const ENOUGH_TO_COMPILE = 3_000;

/** New visitors: connect, full TLS handshake, one request, one response, close. */
export const connections = (world) => visitors(world, 'connections', newVisitors(world));
/** The same, resuming the TLS session of an earlier visit. */
export const resumptions = (world) => visitors(world, 'resumptions', withNode(true));

async function visitors(world, name, visit) {
  return visitorFigures(name, await visitorRuns(world, visit), visit);
}

/** The client of new visitors. */
export const newVisitors = (world) => (world.hey ? withHey : withNode(false));

export function visitorRuns(world, visit, kind = KINDS.stream) {
  const load = async (contender, measure) => {
    const done = await visit(world, contender, measure);
    const warmUp = { work: done.visits, enough: ENOUGH_TO_COMPILE };
    return { 'visits/s': done.visits / done.seconds, ...done, ...warmUp };
  };
  return inTurns(world, load, (theirs) => startContenders(theirs, kind));
}

export function visitorFigures(name, runs, visit) {
  const total = (key) =>
    Object.fromEntries(
      Object.entries(runs).map(([who, all]) => [who, all.reduce((sum, run) => sum + (run[key] ?? 0), 0)]),
    );
  const more = { client: visit === withHey ? 'hey' : 'node', failures: total('failures') };
  if (name === 'resumptions') more.resumed = total('resumed');
  return [
    pickResult(name, 'visitors/s', runs, (run) => run['visits/s'], more),
    pickResult(`${name}.cpu.relay`, 'CPU-ms/visitor', runs, each('relay')),
    pickResult(`${name}.cpu.agent`, 'CPU-ms/visitor', runs, each('agent')),
  ];
}

const each = (stage) => (run) => (run.cpu[stage] / run.visits) * 1000;

/** Costs half as much as a client in Node, and never resumes a session. */
async function withHey({ seconds }, { port, servername, caFile }, measure) {
  const url = `${caFile ? 'https' : 'http'}://127.0.0.1:${port}/`;
  const host = servername ? ['-host', servername] : [];
  measure.begin();
  const args = ['-c', CONCURRENCY, '-z', `${seconds}s`, '-disable-keepalive', ...host, url].map(String);
  const report = await output('hey', args, { ms: (seconds + 20) * 1000 });
  const [distribution, errors = ''] = report.split('Error distribution:');
  return {
    visits: count(distribution, /\[200\]\s+(\d+) responses/g),
    failures: count(distribution, /\[[^2]\d\d\]\s+(\d+) responses/g) + count(errors, /^\s*\[(\d+)\]/gm),
    seconds: Number(/Total:\s+([\d.]+) secs/.exec(report)[1]),
  };
}

const withNode = (resume) =>
  async function withNodeClient({ seconds }, { port, servername, caFile }, measure) {
    const options = { port, servername, caFile, seconds, resume, concurrency: CONCURRENCY };
    const client = script('visitors.mjs', options);
    await client.line((line) => line.started);
    measure.begin();
    const done = await client.line((line) => line.done, (seconds + 20) * 1000);
    await client.stop();
    return { visits: done.visits, resumed: done.resumed, failures: done.failures, seconds: done.seconds };
  };

function count(text, pattern) {
  return [...text.matchAll(pattern)].reduce((total, [, found]) => total + Number(found), 0);
}
