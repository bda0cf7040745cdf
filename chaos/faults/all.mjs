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

/** Within how long all is well after `fault`. A round on a busy machine has a `patience` above 1. */
export function boundOf(fault, { patience = 1 } = {}) {
  const { boundMs } = faultOf(fault.kind);
  return patience * (typeof boundMs === 'function' ? boundMs(fault) : boundMs);
}

/** Whether a lane's visitors can notice `fault`. */
export function touches({ target }, { agent, relay }) {
  if (Array.isArray(target)) return target[0] === agent && target[1] === relay;
  return target === 'dns' || target === agent || target === relay;
}
