import type { Health } from './candidate.js';

/** Which candidates to keep connected: a pure function, asked again whenever something may have changed. */

export interface Contender {
  /** Its origin. */
  readonly key: string;
  /** A registry that somebody chose names it; others are only told of by relays, and come after those. */
  readonly isRegistered: boolean;
  /** How many of the pool's services it can carry. */
  readonly covers: number;
  readonly rttMs: number | undefined;
  readonly health: Health;
  /** How long it has been down. */
  readonly downForMs: number;
}

export interface Choice {
  /** Those to keep connected. */
  readonly active: readonly string[];
  /** Of those, which could be bettered, and since when. */
  readonly beaten: ReadonlyMap<string, number>;
}

export const NOTHING_CHOSEN: Choice = { active: [], beaten: new Map() };

/** One that is better takes a place only after it was better for this long. */
export const BETTER_FOR_MS = 60_000;
/** Better by round trip alone: by a third, and by no less than this. */
const BETTER_BY = 0.67;
const BETTER_BY_MS = 15;
/** One that is down is not given up for one that failed lately, unless it has been down for this long: no hopping between two
 * that both come and go every second. */
export const PATIENCE_MS = 1_200;

/** @param now of a clock that never jumps, milliseconds */
export function choose(
  contenders: readonly Contender[],
  before: Choice,
  maxActive: number,
  now: number,
): Choice {
  const ranked = useful(contenders).toSorted(compare);
  const known = new Map(ranked.map((one) => [one.key, one]));
  let active = before.active.flatMap((key) => known.get(key) ?? []);
  if (active.length > maxActive) active = active.toSorted(compare).slice(0, maxActive);
  const free = (): Contender[] => ranked.filter((one) => !active.includes(one));

  // What failed gives way to what works; where nothing does, it stays and is tried on.
  for (const failed of active.filter(({ health }) => health === 'down')) {
    const better = replacement(failed, free());
    if (better) active = active.map((one) => (one === failed ? better : one));
  }
  const works = free().filter(({ health }) => health !== 'down');
  active = [...active, ...works.slice(0, Math.max(0, maxActive - active.length))];
  // Nothing works: one that is tried and shown is better than silence.
  if (active.length === 0) active = ranked.slice(0, maxActive);

  return improve(active, free(), before.beaten, now);
}

/** Where some can carry services, those that can carry none are left out. */
function useful(contenders: readonly Contender[]): readonly Contender[] {
  const covering = contenders.filter(({ covers }) => covers > 0);
  return covering.length > 0 ? covering : contenders;
}

/** Best first. */
function compare(one: Contender, other: Contender): number {
  return (
    RANK[one.health] - RANK[other.health] ||
    other.covers - one.covers ||
    Number(other.isRegistered) - Number(one.isRegistered) ||
    (one.rttMs ?? Infinity) - (other.rttMs ?? Infinity) ||
    (one.key < other.key ? -1 : 1)
  );
}

const RANK: Readonly<Record<Health, number>> = { sound: 0, shaky: 1, down: 2 };

function replacement(failed: Contender, free: readonly Contender[]): Contender | undefined {
  const isPatient = failed.downForMs < PATIENCE_MS;
  return free.find(({ health }) => health === 'sound' || (health === 'shaky' && !isPatient));
}

/** At most one at a time gives way to a better one. */
function improve(
  active: readonly Contender[],
  free: readonly Contender[],
  before: ReadonlyMap<string, number>,
  now: number,
): Choice {
  const keys = active.map(({ key }) => key);
  const challenger = free.find(({ health }) => health === 'sound');
  const worst = active
    .filter(({ health }) => health !== 'down')
    .toSorted(compare)
    .at(-1);
  if (!challenger || !worst || !isBetter(challenger, worst)) return { active: keys, beaten: new Map() };
  const since = before.get(worst.key) ?? now;
  if (now - since < BETTER_FOR_MS) return { active: keys, beaten: new Map([[worst.key, since]]) };
  return { active: keys.map((key) => (key === worst.key ? challenger.key : key)), beaten: new Map() };
}

function isBetter(one: Contender, other: Contender): boolean {
  if (one.covers !== other.covers) return one.covers > other.covers;
  if (one.isRegistered !== other.isRegistered) return one.isRegistered;
  const [ms, otherMs] = [one.rttMs, other.rttMs];
  if (ms === undefined || otherMs === undefined) return false;
  return ms < otherMs * BETTER_BY && otherMs - ms >= BETTER_BY_MS;
}
