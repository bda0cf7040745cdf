import { networkFaults } from './network.mjs';
import { processFaults } from './process.mjs';
import { surroundings } from './surroundings.mjs';

/**
 * Every kind of fault. Of each:
 *   targets, resource   who it befalls, and what of it: two faults of one resource of one target never overlap
 *   durationMs          the least and the most
 *   boundMs             everything is well again this long after it is over
 *   breaksStreams       connections through it may end early (with an error, or short; never with wrong bytes)
 *   isHarmless          alone, it excuses not one failed request
 *   draw                further numbers of a fault
 *   inject              does it, and resolves with what undoes it
 */
export const FAULTS = [...processFaults, ...networkFaults, ...surroundings];

export const faultOf = (kind) => FAULTS.find((one) => one.kind === kind);

/**
 * A lane over a chain has a session more with each further relay, and one begins once the one before it stands: with an
 * attempt that was begun too early (a relay gives a peer 5 s to answer), and the longest pause of a retry (5 s).
 */
const FURTHER_RELAY_MS = 10_000;

/** Within how long `lane` is well after `fault`. A round on a busy machine has a `patience` above 1. */
export function boundOf(fault, { patience = 1 } = {}, { further = 0 } = {}) {
  const { boundMs } = faultOf(fault.kind);
  const ownMs = typeof boundMs === 'function' ? boundMs(fault) : boundMs;
  return patience * (ownMs + further * FURTHER_RELAY_MS);
}

/** Whether a lane's visitors can notice `fault`: it befalls somebody on their way, or a link of it. */
export function touches({ target }, { agent, relays, links }) {
  if (Array.isArray(target)) return links.some((link) => target.every((name) => link.includes(name)));
  return target === 'dns' || target === agent || relays.includes(target);
}
