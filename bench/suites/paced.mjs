import { script } from '../lib/children.mjs';
import { KINDS, startContenders } from '../lib/contenders.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';
import { atFullSpeed } from './requests.mjs';

const EVERY_MS = 20;

/**
 * One visitor with one connection who sends 50 requests a second: the time of a request on a machine that is not
 * busy. Before that, 32 visitors at full speed let Node compile the contenders.
 */
export async function paced(world) {
  const seconds = 2 * world.seconds;
  const load = async ({ port, servername, caFile }, measure) => {
    if (measure.warmsUp) return atFullSpeed(world)(world, { port, servername, caFile }, measure);
    const visitor = script('paced.mjs', { port, servername, caFile, count: 1, everyMs: EVERY_MS, seconds });
    measure.begin();
    const done = await visitor.line((line) => line.done || line.error, (seconds + 20) * 1000);
    await visitor.stop();
    if (done.error) throw new Error(`the visitor was not served: ${done.error}`);
    return done;
  };
  const runs = await inTurns(world, load, (theirs) => startContenders(theirs, KINDS.stream));
  return [
    pickResult('paced.p50', 'ms', runs, (run) => run.p50Ms, { everyMs: EVERY_MS }),
    pickResult('paced.p99', 'ms', runs, (run) => run.p99Ms),
  ];
}
