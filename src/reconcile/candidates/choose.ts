import type { Health } from './candidate.js';

/** Decides which candidates to keep connected: a pure function, called whenever anything may have changed. */

export interface Contender {
  /** The relay's origin. */
  readonly key: string;
  /** A registry lists it. Relays that only other relays announce rank after registered ones. */
  readonly isRegistered: boolean;
  /** The services of the pool that it can carry. */
  readonly covers: readonly string[];
  readonly rttMs: number | undefined;
  readonly health: Health;
  /** How long it has been unavailable. */
  readonly downForMs: number;
}

export interface Choice {
  /** The relays to keep connected. */
  readonly active: readonly string[];
  /** Relays among them that have a better alternative, and since when. */
  readonly outranked: ReadonlyMap<string, number>;
}

export const NOTHING_CHOSEN: Choice = { active: [], outranked: new Map() };

/** A better relay replaces a chosen one only after it has been better for this long. */
export const BETTER_FOR_MS = 60_000;
/** Better by round-trip time alone means: by a third, and by at least this much. */
const BETTER_BY = 0.67;
const BETTER_BY_MS = 15;
/**
 * An unstable relay replaces one that is down only after this long, so that two flapping relays cause no failovers.
 */
export const UNSTABLE_WAIT_MS = 1_200;

/**
 * @param now monotonic milliseconds
 * @param noOthers the services have no other relay
 */
export function choose(
  contenders: readonly Contender[],
  before: Choice,
  maxActive: number,
  now: number,
  noOthers = true,
): Choice {
  const ranked = useful(contenders).toSorted(compare);
  const known = new Map(ranked.map((one) => [one.key, one]));
  let active: readonly Contender[] = before.active.flatMap((key) => known.get(key) ?? []);
  if (active.length > maxActive) active = filled([], active, maxActive);
  const free = (): Contender[] => ranked.filter((one) => !active.includes(one));

  // A working relay replaces a failed one. Without one, the failed relay stays and is retried.
  const replaceFailed = (): void => {
    for (const failed of active.filter(({ health }) => health === 'down')) {
      const better = replacement(failed, free());
      if (better) active = active.map((one) => (one === failed ? better : one));
    }
  };
  replaceFailed();
  active = filled(active, free().filter(works), maxActive);
  // No relay works. Connect some and show their errors, unless the file names other relays.
  if (noOthers && !active.some(works)) active = filled(active, free(), maxActive);
  for (let next; (next = coveringMore(active, free()));) active = next;
  // That may have freed a relay that is better than a failed one.
  replaceFailed();

  return improve(active, free(), before.outranked, now);
}

const works = ({ health }: Contender): boolean => health !== 'down';

/** The services that at least one of these can carry. */
function covered(contenders: readonly Contender[]): Set<string> {
  return new Set(contenders.flatMap(({ covers }) => covers));
}

/** `active` plus the best of `free` for the remaining places. Prefers relays that cover uncovered services. */
function filled(
  active: readonly Contender[],
  free: readonly Contender[],
  maxActive: number,
): readonly Contender[] {
  const all = [...active];
  while (all.length < maxActive) {
    const there = covered(all.filter(works));
    const gain = ({ covers }: Contender): number => covers.filter((service) => !there.has(service)).length;
    const [best] = free
      .filter((one) => !all.includes(one))
      .toSorted(
        (one, other) =>
          RANK[one.health] - RANK[other.health] || gain(other) - gain(one) || compare(one, other),
      );
    if (!best) break;
    all.push(best);
  }
  return all;
}

/** Swaps in a relay for a service that none of `active` can carry, if no other service loses its only relay. */
function coveringMore(
  active: readonly Contender[],
  free: readonly Contender[],
): readonly Contender[] | undefined {
  const there = covered(active);
  for (const helper of free.filter(works)) {
    if (helper.covers.every((service) => there.has(service))) continue;
    const spare = active.toSorted(compare).findLast((one) => keepsAll(active, one, helper));
    if (spare) return active.map((one) => (one === spare ? helper : one));
  }
  return undefined;
}

/** Whether the same services can be carried after `other` replaces `one`. */
function keepsAll(active: readonly Contender[], one: Contender, other: Contender): boolean {
  const after = covered([...active.filter((each) => each !== one), other]);
  return [...covered(active)].every((service) => after.has(service));
}

/** Drops relays that carry no service, unless all do. */
function useful(contenders: readonly Contender[]): readonly Contender[] {
  const covering = contenders.filter(({ covers }) => covers.length > 0);
  return covering.length > 0 ? covering : contenders;
}

/** Best first. */
function compare(one: Contender, other: Contender): number {
  return (
    RANK[one.health] - RANK[other.health] ||
    other.covers.length - one.covers.length ||
    Number(other.isRegistered) - Number(one.isRegistered) ||
    (one.rttMs ?? Infinity) - (other.rttMs ?? Infinity) ||
    (one.key < other.key ? -1 : 1)
  );
}

const RANK: Readonly<Record<Health, number>> = { stable: 0, unstable: 1, down: 2 };

function replacement(failed: Contender, free: readonly Contender[]): Contender | undefined {
  const waitsForStable = failed.downForMs < UNSTABLE_WAIT_MS;
  return free.find(({ health }) => health === 'stable' || (health === 'unstable' && !waitsForStable));
}

/** At most one relay at a time is replaced by a better one. */
function improve(
  active: readonly Contender[],
  free: readonly Contender[],
  before: ReadonlyMap<string, number>,
  now: number,
): Choice {
  const keys = active.map(({ key }) => key);
  const challenger = free.find(({ health }) => health === 'stable');
  const worst = active
    .filter(({ health }) => health !== 'down')
    .toSorted(compare)
    .at(-1);
  if (!challenger || !worst || !isBetter(challenger, worst) || !coversNoLess(active, worst, challenger))
    return { active: keys, outranked: new Map() };
  const since = before.get(worst.key) ?? now;
  if (now - since < BETTER_FOR_MS) return { active: keys, outranked: new Map([[worst.key, since]]) };
  return { active: keys.map((key) => (key === worst.key ? challenger.key : key)), outranked: new Map() };
}

function coversNoLess(active: readonly Contender[], one: Contender, other: Contender): boolean {
  const after = covered([...active.filter((each) => each !== one), other]);
  return after.size > covered(active).size || keepsAll(active, one, other);
}

function isBetter(one: Contender, other: Contender): boolean {
  if (one.covers.length !== other.covers.length) return one.covers.length > other.covers.length;
  if (one.isRegistered !== other.isRegistered) return one.isRegistered;
  const [ms, otherMs] = [one.rttMs, other.rttMs];
  if (ms === undefined || otherMs === undefined) return false;
  return ms < otherMs * BETTER_BY && otherMs - ms >= BETTER_BY_MS;
}
