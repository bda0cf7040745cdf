import { parsePlace } from '../places.mjs';

/** Checks of what the database recorded. Each returns violations: {promise, at, name?, what}. */

/** A reservation counts from its last use (limits of the relay). */
const RESERVATION_MS = 30 * 24 * 3_600_000;
/** An agent reports a name within this time after the reservation. */
const ACK_MS = 15_000;
const STAY = 'reservations stay';
/** Clocks of nodes differ by less, or jumped. */
const CLOCK_MS = 2_000;

/** A public place never passes from one owner to another without being free between. Replicas share one. */
export function checkOwners({ changes }) {
  const found = [];
  const present = new Leases();
  for (const change of changes.filter(({ what }) => what === 'leases')) {
    const { op, owner, at } = change;
    const { publicPlace } = parsePlace(change.key);
    const others = present.all(({ at: place }) => place === publicPlace);
    const former = others.find((lease) => lease.owner !== owner);
    if (op !== 'DELETE' && former !== undefined)
      found.push({
        promise: 'one owner',
        at,
        name: change.key,
        what: `${owner} got the lease of ${former.owner}`,
      });
    present.apply(change);
  }
  return found;
}

/** No public port of a node belongs to leases of two places. */
export function checkPorts({ changes }) {
  const found = [];
  const present = new Leases();
  for (const change of changes.filter(({ what }) => what === 'leases')) {
    present.apply(change);
    const own = present.get(change.key);
    if (own?.port === undefined) continue;
    const [other] = present.all(
      ({ node, kind, port, at }) =>
        node === own.node && kind === own.kind && port === own.port && at !== own.at,
    );
    if (other !== undefined)
      found.push({
        promise: 'a port has one owner',
        at: change.at,
        name: change.key,
        what: `${own.kind} port ${own.port} of node ${own.node} is also that of ${other.at}`,
      });
  }
  return found;
}

/** The leases in the database after each change, by place: {at (public place), kind, owner, node, port}. */
class Leases {
  #present = new Map();

  apply({ op, key, owner, node, port }) {
    const { publicPlace: at, kind } = parsePlace(key);
    if (op === 'DELETE') this.#present.delete(key);
    else this.#present.set(key, { at, kind, owner, node, port });
  }

  get(place) {
    return this.#present.get(place);
  }

  all(matches) {
    return [...this.#present.values()].filter(matches);
  }
}

/** Epochs of a place only rise, even over releases. */
export function checkEpochs({ changes }) {
  const found = [];
  const highest = new Map();
  for (const { what, op, key, number: epoch, at } of changes) {
    if (what !== 'leases' || op === 'DELETE') continue;
    const before = highest.get(key) ?? 0;
    // An update of the record of a lease keeps its epoch.
    if (epoch < before || (epoch === before && op === 'INSERT'))
      found.push({ promise: 'epochs rise', at, name: key, what: `epoch ${epoch} follows ${before}` });
    highest.set(key, Math.max(before, epoch));
  }
  return found;
}

/** A node that the others counted as lost no longer changes anything. */
export function checkLateWrites({ changes }) {
  const found = [];
  const ended = new Set();
  for (const { what, op, key, node, at } of changes) {
    if (what === 'nodes' && op === 'DELETE') ended.add(key);
    if (what === 'leases' && op !== 'DELETE' && ended.has(node))
      found.push({ promise: 'no late writes', at, name: key, what: `node ${node} took it after its end` });
  }
  return found;
}

/**
 * Each name that an agent got stays reserved for its identity. `reservations` are those at the end: [{name, address}]. Another
 * identity may get a name only once the reservation has expired.
 */
export function checkReservations(history, reservations, ownerOf) {
  return [...lostReservations(history, reservations, ownerOf), ...earlyReservations(history)];
}

function lostReservations({ leases, changes }, reservations, ownerOf) {
  const last = new Map();
  for (const { name, agent, phase, at } of leases) if (phase === 'ready') last.set(name, { agent, at });
  const present = new Map(reservations.map((row) => [row.name, row.address]));
  return [...last].flatMap(([name, { agent, at }]) => {
    const address = present.get(name);
    const isNext = changes.some(
      (change) =>
        change.what === 'reservations' &&
        change.key === name &&
        change.owner === address &&
        change.at > at - ACK_MS,
    );
    if (address === ownerOf(agent) || (address !== undefined && isNext)) return [];
    return [
      {
        promise: STAY,
        at,
        name,
        what: `${agent} had got it, and ${address ?? 'nobody'} has it reserved at the end`,
      },
    ];
  });
}

function earlyReservations({ changes, faults }) {
  const found = [];
  const known = new Map();
  for (const { what, op, key, owner, number: usedAt, at } of changes) {
    if (what !== 'reservations') continue;
    const former = known.get(key);
    if (op !== 'DELETE' && former !== undefined && former.owner !== owner) {
      const endsAt = former.usedAt + RESERVATION_MS;
      if (at < endsAt - CLOCK_MS - jumped(faults, at))
        found.push({
          promise: STAY,
          at,
          name: key,
          what: `${owner} got it ${Math.round(endsAt - at)} ms too early`,
        });
    }
    if (op === 'DELETE') known.delete(key);
    else known.set(key, { owner, usedAt });
  }
  return found;
}

/** By how much a clock of a node may be ahead, in milliseconds. */
function jumped(faults, at) {
  const ahead = faults
    .filter(
      ({ seconds, injectedAt, healedAt = Infinity }) => seconds && at >= injectedAt && at <= healedAt + 5_000,
    )
    .map(({ seconds }) => Math.abs(seconds) * 1_000);
  return Math.max(0, ...ahead);
}

/** Another identity has the name. */
const TAKEN = new Set(['name_taken', 'name_reserved']);

/** Agents retry what they are refused, unless another identity has the name. */
export function checkRefusals({ leases, changes }, ownerOf) {
  const owners = new Map();
  for (const { what, op, key, owner } of changes) {
    if (what.endsWith('nodes') || op === 'DELETE') continue;
    const name = what === 'leases' ? parsePlace(key).name : key;
    owners.set(name, (owners.get(name) ?? new Set()).add(owner));
  }
  return leases.flatMap(({ agent, name, phase, code, at }) => {
    if (phase !== 'failed') return [];
    const others = [...(owners.get(name) ?? [])].filter((owner) => owner !== ownerOf(agent));
    if (TAKEN.has(code) && others.length > 0) return [];
    return [{ promise: 'refused with a code that agents retry', at, name, what: `${agent} got ${code}` }];
  });
}
