import { networkFaults } from './network.mjs';
import { processFaults } from './process.mjs';
import { environmentFaults } from './environment.mjs';

/**
 * Every kind of fault. Fields:
 *   targets, resource   the actors it can hit, and their resource; faults of one resource of one target never overlap
 *   durationMs          [minimum, maximum]
 *   limitMs             everything must recover within this time after the fault ends
 *   breaksStreams       connections through the target may end early (with an error, or short; never with wrong bytes)
 *   isHarmless          alone, it excuses no failed request
 *   isAlone             no other fault happens in its round
 *   draw                draws further parameters of a fault
 *   inject              injects the fault, and resolves with a function that undoes it
 */
export const FAULTS = [...processFaults, ...networkFaults, ...environmentFaults];

export const faultOf = (kind) => FAULTS.find((one) => one.kind === kind);

/**
 * A lane over a chain needs one more session for each further relay, and each starts after the previous one is up. This
 * allows for one attempt that started too early (a relay gives a peer 5 s to answer) and the longest delay of a retry
 * (5 s).
 */
const FURTHER_RELAY_MS = 10_000;

/** The time within which `lane` must recover after `fault`. On a busy machine a round has a `patience` above 1. */
export function limitOf(fault, { patience = 1 } = {}, { further = 0 } = {}) {
  const { limitMs } = faultOf(fault.kind);
  const ownMs = typeof limitMs === 'function' ? limitMs(fault) : limitMs;
  return patience * (ownMs + further * FURTHER_RELAY_MS);
}

/** Whether visitors of a lane can notice `fault`: its target is an actor or a link on their path. */
export function touches({ target }, { agent, relays, links }) {
  if (Array.isArray(target)) return links.some((link) => target.every((name) => link.includes(name)));
  return target === 'dns' || target === agent || relays.includes(target);
}
