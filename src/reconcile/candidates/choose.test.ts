import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { healthOf, newCandidate, markDown, markHealthy } from './candidate.js';
import {
  BETTER_FOR_MS,
  choose,
  NOTHING_CHOSEN,
  UNSTABLE_WAIT_MS,
  type Choice,
  type Contender,
} from './choose.js';

const one = (key: string, over: Partial<Contender> = {}): Contender => ({
  key,
  isRegistered: true,
  covers: ['web'],
  rttMs: 50,
  health: 'stable',
  downForMs: 0,
  ...over,
});

const first = (contenders: Contender[], maxActive: number): Choice =>
  choose(contenders, NOTHING_CHOSEN, maxActive, 0);

describe('the first choice', () => {
  it.each([
    ['the nearest relays', [one('a', { rttMs: 90 }), one('b', { rttMs: 10 }), one('c')], ['b', 'c']],
    [
      'the relay that carries most services',
      [one('a'), one('b', { covers: ['web', 'db'], rttMs: 300 }), one('c', { rttMs: 60 })],
      ['b', 'a'],
    ],
    ['no relay that carries no service', [one('a'), one('b', { covers: [], rttMs: 1 })], ['a']],
    [
      'registered relays before discovered ones',
      [one('a', { isRegistered: false, rttMs: 1 }), one('b'), one('c')],
      ['b', 'c'],
    ],
    [
      'relays that respond',
      [one('a', { health: 'down' }), one('b'), one('c', { health: 'unstable' })],
      ['b', 'c'],
    ],
    [
      'relays that are down, if all are',
      [one('a', { health: 'down' }), one('b', { health: 'down' })],
      ['a', 'b'],
    ],
    [
      'relays that together carry every service',
      [
        one('a', { covers: ['web', 'api', 'db'], rttMs: 1 }),
        one('b', { covers: ['web', 'api', 'db'], rttMs: 2 }),
        one('c', { covers: ['web', 'dns'], rttMs: 300 }),
      ],
      ['a', 'c'],
    ],
    ['a relay that carries no service, so that its error shows', [one('a', { covers: [] })], ['a']],
  ])('%s', (_what, contenders, expected) => {
    expect(first(contenders, 2).active).toEqual(expected);
  });
});

describe('afterwards', () => {
  const before = first([one('a'), one('b')], 2);

  it('a working relay replaces a failed one immediately', () => {
    const now = [one('a', { health: 'down' }), one('b'), one('c', { rttMs: 400 })];
    expect(choose(now, before, 2, 1).active).toEqual(['c', 'b']);
  });

  it('a failed relay stays while no other works, and an unstable one replaces it only after a while', () => {
    expect(choose([one('a', { health: 'down' }), one('b')], before, 2, 1).active).toEqual(['a', 'b']);
    const unstable = (downForMs: number): Contender[] => [
      one('a', { health: 'down', downForMs }),
      one('b'),
      one('c', { health: 'unstable' }),
    ];
    expect(choose(unstable(1), before, 2, 1).active).toEqual(['a', 'b']);
    expect(choose(unstable(UNSTABLE_WAIT_MS), before, 2, 1).active).toEqual(['c', 'b']);
  });

  it('there is no failback to a relay that recovers', () => {
    const moved = choose([one('a', { health: 'down' }), one('b'), one('c')], before, 2, 1);
    const back = [one('a', { rttMs: 45 }), one('b'), one('c')];
    expect([2, BETTER_FOR_MS * 5].map((now) => choose(back, moved, 2, now).active)).toEqual([
      moved.active,
      moved.active,
    ]);
  });

  it('a better relay replaces a chosen one only after a long time', () => {
    const better = [one('a'), one('b', { rttMs: 80 }), one('c', { rttMs: 10 })];
    const noticed = choose(better, before, 2, 1_000);
    expect(noticed.active).toEqual(['a', 'b']);
    expect(choose(better, noticed, 2, 1_000 + BETTER_FOR_MS - 1).active).toEqual(['a', 'b']);
    expect(choose(better, noticed, 2, 1_000 + BETTER_FOR_MS).active).toEqual(['a', 'c']);
    // A pause in being better restarts the time.
    const paused = choose([one('a'), one('b', { rttMs: 80 }), one('c', { rttMs: 75 })], noticed, 2, 30_000);
    expect(choose(better, paused, 2, 1_000 + BETTER_FOR_MS).active).toEqual(['a', 'b']);
  });

  it('a relay for an uncovered service replaces another immediately, unless that one is the only relay of a service', () => {
    const db = one('c', { covers: ['web', 'db'], rttMs: 400 });
    const changed = choose([one('a'), one('b', { rttMs: 80 }), db], before, 2, 1);
    expect(changed.active).toEqual(['a', 'c']);
    // The relay stays while the others are nearer, because it is the only one for a service.
    const nearer = [one('a'), one('b', { rttMs: 1 }), db];
    const later = choose(nearer, choose(nearer, changed, 2, 2), 2, 2 + BETTER_FOR_MS);
    expect([...later.active].toSorted()).toEqual(['b', 'c']);
    const alone = [one('a'), one('c', { covers: ['db'] })];
    expect(choose(alone, first([one('a')], 1), 1, 1).active).toEqual(['a']);
  });

  it('all relays are tried while none works', () => {
    const down = ['a', 'b'].map((key) => one(key, { health: 'down' }));
    expect(choose(down, first([down[0]!], 2), 2, 1).active).toEqual(['a', 'b']);
    // If the file names relays, only relays that have worked are retried.
    expect(choose(down, NOTHING_CHOSEN, 2, 1, false).active).toEqual([]);
    expect(choose(down, first([down[0]!], 2), 2, 1, false).active).toEqual(['a']);
  });

  it('keeps fewer relays after the limit drops, and drops former candidates', () => {
    expect(choose([one('a', { rttMs: 90 }), one('b')], before, 1, 1).active).toEqual(['b']);
    expect(choose([one('b'), one('c')], before, 2, 1).active).toEqual(['b', 'c']);
  });
});

it('a relay that makes room for one with more services replaces one that is down', () => {
  const contenders = [
    one('a', { covers: ['web'] }),
    one('b', { covers: ['db'], health: 'down', downForMs: 100 }),
    one('c', { covers: ['web', 'dns'], health: 'unstable' }),
  ];
  const { active } = choose(contenders, { active: ['a', 'b'], outranked: new Map() }, 2, 1);
  expect(active.toSorted()).toEqual(['a', 'c']);
});

const anyContender = (key: string) =>
  fc.record({
    key: fc.constant(key),
    isRegistered: fc.boolean(),
    covers: fc.subarray(['web', 'db', 'dns']),
    rttMs: fc.option(fc.nat(400), { nil: undefined }),
    health: fc.constantFrom('stable' as const, 'unstable' as const, 'down' as const),
    downForMs: fc.nat(20_000),
  });
const anyContenders = fc
  .tuple(...['a', 'b', 'c', 'd', 'e', 'f'].map((key) => fc.option(anyContender(key), { nil: undefined })))
  .map((all) => all.filter((each) => each !== undefined));

describe('after any history', () => {
  it('never exceeds the limit, repeats a relay or chooses a former candidate', () => {
    fc.assert(
      fc.property(
        fc.array(anyContenders, { maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        (history, maxActive) => {
          let choice = NOTHING_CHOSEN;
          for (const [index, contenders] of history.entries()) {
            choice = choose(contenders, choice, maxActive, index * 40_000);
            expect(choice.active.length).toBeLessThanOrEqual(maxActive);
            expect(new Set(choice.active).size).toBe(choice.active.length);
            for (const key of choice.active) expect(contenders.map((each) => each.key)).toContain(key);
          }
        },
      ),
    );
  });

  it('settles when nothing changes', () => {
    fc.assert(
      fc.property(
        anyContenders,
        anyContenders,
        fc.integer({ min: 1, max: 4 }),
        (before, contenders, maxActive) => {
          let choice = choose(contenders, first(before, maxActive), maxActive, 1);
          const at = (step: number): Choice =>
            (choice = choose(contenders, choice, maxActive, step * BETTER_FOR_MS));
          // Each place can improve at most once per relay.
          for (let step = 1; step <= 20; step++) at(step);
          const { active } = choice;
          for (let step = 21; step <= 30; step++) expect(at(step).active).toEqual(active);
        },
      ),
    );
  });

  it('leaves no service without a relay if one can have it in addition to the others', () => {
    fc.assert(
      fc.property(
        anyContenders,
        anyContenders,
        fc.integer({ min: 1, max: 4 }),
        (before, contenders, maxActive) => {
          const { active } = choose(contenders, first(before, maxActive), maxActive, 1);
          const up = contenders.filter(({ health }) => health !== 'down');
          const all = up.some(({ covers, health }) => health === 'stable' && covers.length === 3);
          const carried = new Set(
            up.filter(({ key }) => active.includes(key)).flatMap(({ covers }) => covers),
          );
          expect(!all || carried.size === 3).toBe(true);
        },
      ),
    );
  });

  it('keeps no relay that is down while a stable one is free', () => {
    fc.assert(
      fc.property(
        anyContenders,
        anyContenders,
        fc.integer({ min: 1, max: 4 }),
        (before, contenders, maxActive) => {
          const { active } = choose(contenders, first(before, maxActive), maxActive, 1);
          const free = contenders.filter(
            ({ key, health, covers }) => health === 'stable' && covers.length > 0 && !active.includes(key),
          );
          const down = contenders.filter(({ key, health }) => health === 'down' && active.includes(key));
          expect(free.length > 0 && down.length > 0).toBe(false);
        },
      ),
    );
  });

  it('does not fail over between relays that flap every second', () => {
    const [a, b] = ['a', 'b'].map((key) =>
      newCandidate({ kind: 'url', url: `https://${key}.example` }, 'registry'),
    );
    const failure = new PortalError('relay_unreachable', 'gone');
    let choice = NOTHING_CHOSEN;
    let moves = 0;
    for (let second = 0; second < 600; second++) {
      const now = second * 1_000;
      // One is up while the other is down.
      for (const [index, each] of [a!, b!].entries()) {
        if ((second + index) % 2 === 0) markHealthy(each, now);
        else markDown(each, failure, now);
      }
      const contenders = [a!, b!].map((each) =>
        one(each.relay.url, {
          health: healthOf(each, now),
          downForMs: each.downAt === undefined ? 0 : now - each.downAt,
        }),
      );
      const next = choose(contenders, choice, 1, now);
      if (next.active[0] !== choice.active[0]) moves += 1;
      choice = next;
    }
    // The first choice, and the relay that looked stable when that failed first.
    expect(moves).toBeLessThanOrEqual(2);
  });
});

describe('a candidate', () => {
  const failure = new PortalError('relay_unreachable', 'gone');

  it('is stable from its first response, and after each failure only after a longer time', () => {
    const candidate = newCandidate({ kind: 'url', url: 'https://a.example' }, 'registry');
    expect(healthOf(candidate, 0)).toBe('down');
    markHealthy(candidate, 0);
    expect(healthOf(candidate, 0)).toBe('stable');
    markDown(candidate, failure, 1_000);
    markDown(candidate, failure, 2_000);
    markHealthy(candidate, 3_000);
    expect([32_999, 33_000].map((now) => healthOf(candidate, now))).toEqual(['unstable', 'stable']);
    markDown(candidate, failure, 40_000);
    markHealthy(candidate, 41_000);
    expect([100_999, 101_000].map((now) => healthOf(candidate, now))).toEqual(['unstable', 'stable']);
    // A long healthy time clears the failures.
    markHealthy(candidate, 1_000_000);
    markDown(candidate, failure, 1_000_001);
    markHealthy(candidate, 1_000_002);
    expect(healthOf(candidate, 1_030_002)).toBe('stable');
  });
});
