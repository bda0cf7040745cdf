import {
  checkEpochs,
  checkLateWrites,
  checkOwners,
  checkPorts,
  checkRefusals,
  checkReservations,
} from './directory.mjs';
import { excusesOf } from './excuses.mjs';
import { Facts } from './facts.mjs';
import { checkGivenUp, checkLost } from './nodes.mjs';
import { checkReplicas } from './replicas.mjs';
import { checkServed, checkStrangers, checkStreams } from './visitors.mjs';

/**
 * Checks every promise of a relay on several machines over a recorded history. A pure function.
 * `actors`: as Facts gets them; `lanes`: those whose visitors must be
 * served, by id; `reservations`: those at the end. Returns {violations, served, streams, facts}.
 */
export function checkAll(history, { actors, lanes, reservations }) {
  const facts = new Facts(history, actors);
  const ownerOf = (agent) => facts.identityOf(agent);
  const played = history.faults.filter(({ injectedAt }) => injectedAt !== undefined);
  const known = { ...history, faults: played };
  const excuses = excusesOf(known);
  const served = checkServed(known, lanes, excuses, facts);
  const streams = checkStreams(known, lanes, excuses, facts);
  const violations = [
    ...checkOwners(known),
    ...checkPorts(known),
    ...checkStrangers(known, facts),
    ...checkEpochs(known),
    ...checkLateWrites(known),
    ...checkReservations(known, reservations, ownerOf),
    ...checkRefusals(known, ownerOf),
    ...checkGivenUp(known, facts),
    ...checkLost(known, facts),
    ...served.violations,
    ...streams.violations,
    ...checkReplicas(known, lanes, facts),
  ];
  return {
    violations: violations.toSorted((one, other) => one.at - other.at),
    served: served.counts,
    streams: streams.counts,
    facts,
  };
}
