import { randomOf } from './lib/random.mjs';

/**
 * Which faults hit which targets, and when: a pure function of the seed. Faults come in rounds. Those of one round
 * overlap, and the next round begins once everything is healthy. So each failed request can be matched with the faults
 * that excuse it.
 */

/** A round's faults begin within this time, or within the second time in a round with a long fault. */
const SPREAD_MS = 3_000;
const [LEAST, MOST] = [3, 8];
/** At most this many begin each second during a long fault. */
const LONG_MS = 10_000;
const BESIDE_LONG_EVERY_MS = 2_500;
const MAX_TRIES = 20;

/**
 * The rounds of `seed`, with `count` faults in all: [{number, faults: [{id, kind, target, atMs, durationMs, …}]}].
 * `kinds` are rows of faults/all.mjs, `shape` names the targets. No fault lasts longer than `mostMs`. A round has between `perRound`
 * faults.
 */
export function schedule(seed, { count, kinds, shape, mostMs = Infinity, perRound = [LEAST, MOST] }) {
  const random = randomOf(seed);
  const rounds = [];
  const usable = kinds.flatMap((kind) => {
    const [least, most] = kind.durationMs;
    if (least > mostMs || targetsOf(kind, shape).length === 0) return [];
    return [{ ...kind, durationMs: [least, Math.min(most, mostMs)] }];
  });
  if (usable.length === 0) return [];
  for (let left = count; left > 0;) {
    const faults = oneRound(random, { usable, shape, most: left, mostMs, perRound });
    left -= faults.length;
    rounds.push({
      number: rounds.length + 1,
      faults: faults
        .toSorted((a, b) => a.atMs - b.atMs)
        .map((fault, index) => ({ id: `${rounds.length + 1}.${index + 1}`, ...fault })),
    });
  }
  return rounds;
}

function oneRound(random, { usable, shape, most, mostMs, perRound }) {
  const faults = [];
  let wanted = Math.min(most, random.between(...perRound));
  let spreadMs = Math.min(SPREAD_MS, mostMs);
  for (let tries = 0; faults.length < wanted && tries < wanted + MAX_TRIES; tries++) {
    const kind = random.weighted(usable, ({ weight }) => weight);
    const fault = {
      kind: kind.kind,
      target: random.pick(targetsOf(kind, shape)),
      atMs: random.between(0, spreadMs),
      durationMs: random.between(...kind.durationMs),
      ...kind.draw?.(random),
    };
    if (faults.some((other) => collide(fault, other, usable))) continue;
    if (kind.isAlone && faults.length > 0) continue;
    faults.push(fault);
    if (kind.isAlone) break;
    if (fault.durationMs < LONG_MS || spreadMs > SPREAD_MS || perRound[1] < MOST) continue;
    // Uses time that the round otherwise spends waiting.
    spreadMs = fault.durationMs - SPREAD_MS;
    wanted = Math.min(most, wanted + Math.floor(fault.durationMs / BESIDE_LONG_EVERY_MS));
  }
  return faults;
}

/** Every possible target of a kind. */
function targetsOf({ targets, sparesFirst }, shape) {
  return targets.flatMap((role) => {
    if (role === 'dns') return ['dns'];
    if (role === 'agent-relay')
      return shape.agents.flatMap((agent) => shape.relaysOf(agent).map((relay) => [agent, relay]));
    if (role === 'relay-relay') return shape.relayPairs;
    return shape[`${role}s`].slice(sparesFirst ? 1 : 0);
  });
}

/** Two faults of one resource of one target that overlap, or nearly do, so that the undoing of one meets the other. */
function collide(a, b, kinds) {
  const resource = (fault) => kinds.find(({ kind }) => kind === fault.kind).resource;
  if (resource(a) !== resource(b) || String(a.target) !== String(b.target)) return false;
  return a.atMs <= b.atMs + b.durationMs + SPREAD_MS && b.atMs <= a.atMs + a.durationMs + SPREAD_MS;
}
