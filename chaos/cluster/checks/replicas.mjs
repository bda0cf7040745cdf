import { clusterFaultOf } from '../faults.mjs';
import { parsePlace } from '../places.mjs';

/** Checks of names that several agents of one identity serve: {promise, at, name, what}. */

/** A cause may be this much older than a visit that reaches another replica: a silent agent is noticed after 17.5 s. */
const BEFORE_MS = 20_000;
/** With fewer visits of a name than this, one replica may get all. */
const LEAST_VISITS = 40;
const HEARD_MS = 1_500;
/** A replica that lets a visitor wait for longer loses its visitors for a while (relay/visitors/visitors.ts). */
const STALLED_MS = 1_000;

/** `lanes` of replicated names have their `policy`: 'spread' or 'failover'. */
export function checkReplicas({ requests, faults, changes }, lanes, facts) {
  return [...lanes.values()].flatMap((lane) => {
    const visits = requests.filter(({ lane: id, owner }) => id === lane.id && owner !== undefined);
    if (lane.policy === 'failover') return switched(lane, visits, { faults, changes });
    if (lane.policy === 'spread') return uneven(lane, visits, facts);
    return [];
  });
}

/** With `failover`, visitors stay at one replica until something happens to a replica, or to a node. */
function switched({ name }, visits, { faults, changes }) {
  const own = visits.toSorted((one, other) => one.at - other.at);
  return own.slice(1).flatMap((visit, index) => {
    const before = own[index];
    if (visit.owner === before.owner) return [];
    const [from, until] = [before.at - BEFORE_MS, visit.joinedAt + HEARD_MS];
    const isCaused =
      own.some(({ at, joinedAt }) => joinedAt - at > STALLED_MS && joinedAt > from && at < until) ||
      changes.some(
        ({ what, key, at }) =>
          what === 'leases' && parsePlace(key).name === name && at > before.at - HEARD_MS && at < until,
      ) ||
      faults.some(
        ({ kind, injectedAt, healedAt = Infinity }) =>
          !clusterFaultOf(kind).isDatabase && injectedAt < until && healedAt > from,
      );
    if (isCaused) return [];
    const what = `a visitor reached ${visit.owner}, and ${before.owner} still served`;
    return [{ promise: 'failover stays', at: visit.at, name, what }];
  });
}

/** With `spread`, each replica gets visitors. */
function uneven({ name }, visits, facts) {
  if (visits.length < LEAST_VISITS) return [];
  const served = new Set(visits.map(({ owner }) => owner));
  const all = facts.agentsWith(facts.identityOf(visits[0].owner));
  return all
    .filter((agent) => !served.has(agent))
    .map((agent) => ({
      promise: 'spread over all replicas',
      at: visits.at(-1).at,
      name,
      what: `none of ${visits.length} visitors reached ${agent}`,
    }));
}
