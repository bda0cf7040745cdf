import { pause } from '../../bench/lib/wait.mjs';
import { now } from '../lib/now.mjs';
import { clusterFaultOf } from './faults.mjs';

/** Plays one round of faults, and waits until everything is healthy again. */

const CHECK_MS = 250;
/** Visitors keep coming for this long before the next round. */
const QUIET_MS = 1_500;
/** The wait ends this much later than the deadline. */
const PATIENCE_MS = 30_000;

/** Resolves with {tookMs, limitMs, why}: `why` says what is still unhealthy, undefined if everything is healthy in time. */
export async function playRound(world, history, round, signal) {
  const healthy = new Health(world, history);
  await Promise.all(
    round.faults.map((fault) => play(world, history, { ...fault, round: round.number }, signal)),
  );
  const from = now();
  const limitMs = Math.max(...round.faults.map(({ kind }) => clusterFaultOf(kind).recoverMs));
  let why;
  let tookMs;
  do {
    await pause(CHECK_MS);
    why = await healthy.problem(from);
    tookMs = now() - from;
  } while (why !== undefined && tookMs < limitMs + PATIENCE_MS && !signal.aborted);
  round.endedAt = now();
  await pause(QUIET_MS);
  return { from, tookMs, limitMs, why };
}

async function play(world, history, fault, signal) {
  await pause(fault.atMs);
  if (signal.aborted) return;
  fault.injectedAt = now();
  const end = history.begin(fault);
  try {
    const heal = await clusterFaultOf(fault.kind).inject(world, fault);
    await pause(fault.durationMs);
    await heal();
  } catch (error) {
    world.on.onTrouble(`${fault.kind} of ${fault.target}: ${error.stack}`, true);
  }
  fault.healedAt = now();
  end();
}

class Health {
  #world;
  #history;

  constructor(world, history) {
    this.#world = world;
    this.#history = history;
  }

  /** What is unhealthy since `from`, or undefined. */
  async problem(from) {
    const { database, nodes, lanes } = this.#world;
    const ports = this.#world.ownedPorts();
    try {
      await this.#history.readChanges(database);
      const rows = await database.sql('SELECT address FROM portal.nodes');
      if (rows.length !== nodes.size) return `${rows.length} nodes are registered`;
      if (!(await database.isProtected())) return 'the standby does not follow';
    } catch (error) {
      return `the database: ${error.message}`;
    }
    for (const { id } of [...lanes, ...ports]) {
      const why = id === undefined ? 'no port yet' : this.#laneProblem(id, from);
      if (why !== undefined) return `${id}: ${why}`;
    }
    return undefined;
  }

  #laneProblem(id, from) {
    const own = [];
    for (let index = this.#history.requests.length - 1; index >= 0 && own.length < 2; index--) {
      const request = this.#history.requests[index];
      if (request.end < from) break;
      if (request.lane === id && request.at >= from) own.push(request);
    }
    if (own.length < 2) return 'no response yet';
    const failed = own.find(({ error }) => error !== undefined);
    return failed && `requests fail (${failed.error})`;
  }
}
