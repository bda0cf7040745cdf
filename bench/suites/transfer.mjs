import { script } from '../lib/children.mjs';
import { KINDS, startContenders } from '../lib/contenders.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';

/** One visitor, one connection, at full speed. */
export const download = (world) => transfer(world, 'download', 'down', KINDS.stream);
export const upload = (world) => transfer(world, 'upload', 'up', KINDS.stream);
/** The same through a public port of the relay, without TLS. */
export const tcp = async (world) => [
  ...(await transfer(world, 'tcp.download', 'down', KINDS.tcp)),
  ...(await transfer(world, 'tcp.upload', 'up', KINDS.tcp)),
];

export async function transfer(world, name, direction, kind) {
  return transferFigures(name, await transferRuns(world, direction, kind));
}

export function transferRuns(world, direction, kind) {
  const load = async ({ port, servername, caFile }, measure) => {
    const seconds = measure.warmsUp ? 1 : world.seconds;
    const client = script('transfer.mjs', { port, servername, caFile, seconds, direction });
    await client.line((line) => line.started);
    measure.begin();
    const done = await client.line((line) => line.done, (seconds + 20) * 1000);
    const gigabytes = done.bytes / 1e9;
    await client.stop();
    return { 'MB/s': done.bytes / 1e6 / done.seconds, gigabytes, client: done.cpuSeconds };
  };
  return inTurns(world, load, (theirs) => startContenders(theirs, kind));
}

export function transferFigures(name, runs) {
  return [
    pickResult(name, 'MB/s', runs, (run) => run['MB/s']),
    pickResult(`${name}.cpu.relay`, 'CPU-s/GB', runs, perGigabyte('relay')),
    pickResult(`${name}.cpu.agent`, 'CPU-s/GB', runs, perGigabyte('agent')),
    pickResult(`${name}.cpu.service`, 'CPU-s/GB', runs, perGigabyte('service')),
    pickResult(`${name}.cpu.client`, 'CPU-s/GB', runs, (run) => run.client / run.gigabytes),
  ];
}

const perGigabyte = (stage) => (run) => run.cpu[stage] / run.gigabytes;
