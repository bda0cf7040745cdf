import { pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** The pure parts of the chaos harness: the faults that a seed makes, and the findings of the judge. */

interface Fault {
  readonly id: string;
  readonly kind: string;
  readonly target: string | readonly string[];
  readonly atMs: number;
  readonly durationMs: number;
  injectedAt?: number;
  healedAt?: number;
}
interface Round {
  readonly number: number;
  readonly faults: Fault[];
  endedAt?: number;
  healthyAt?: Record<string, number>;
}
interface Kind {
  readonly kind: string;
  readonly resource: string;
  readonly durationMs: readonly [number, number];
  readonly sparesFirst?: true;
}
interface Way {
  readonly agent: string;
  readonly relays: readonly string[];
}
interface Lane extends Way {
  readonly id: string;
}
interface Violation {
  readonly lane: string;
  readonly what: string;
}
type Seen = { at: number; end: number; error?: string; wrong?: string; load?: number };

async function load<T>(file: string): Promise<T> {
  // Imported through a variable, because these files are not TypeScript.
  const url = pathToFileURL(`chaos/${file}`).href;
  return (await import(url)) as T;
}

const { schedule } = await load<{
  schedule: (this: void, seed: number, options: object) => Round[];
}>('schedule.mjs');
const { FAULTS } = await load<{ FAULTS: Kind[] }>('faults/all.mjs');
const { shapeOf, wayOf } = await load<{
  shapeOf: (this: void, counts: object) => object;
  wayOf: (this: void, agent: string, relays: readonly string[]) => Way;
}>('shape.mjs');
interface LeaseLine {
  readonly lease?: string;
  readonly phase: string;
}
const { isOfFormer } = await load<{
  isOfFormer: (this: void, present: LeaseLine | undefined, line: LeaseLine) => boolean;
}>('lease-lines.mjs');
const { judgeMoves, judgeRequests, judgeStream } = await load<{
  judgeMoves: (this: void, rounds: Round[], moves: object[]) => Violation[];
  judgeRequests: (
    this: void,
    lane: Lane,
    rounds: Round[],
    requests: Seen[],
  ) => { violations: Violation[]; recoveries: { tookMs: number }[] };
  judgeStream: (
    this: void,
    lane: Lane,
    rounds: Round[],
    stream: object,
    moves?: object[],
  ) => Violation | undefined;
}>('judge.mjs');
const { playRound } = await load<{
  playRound: (
    this: void,
    world: object,
    watch: object,
    round: Round,
    signal: AbortSignal,
  ) => Promise<unknown>;
}>('round.mjs');
const { firstWrong, pattern } = await load<{
  firstWrong: (this: void, stream: number, offset: number, chunk: Buffer) => number | undefined;
  pattern: (this: void, stream: number, offset: number, length: number) => Buffer;
}>('lib/pattern.mjs');

const shape = shapeOf({ relays: 3, agents: 2, pools: 1 });
const kindOf = (kind: string): Kind => FAULTS.find((one) => one.kind === kind)!;

describe('the schedule', () => {
  const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
  const options = { count: 60, kinds: FAULTS, shape };

  it('is the same for the same seed, and differs for another seed', () => {
    expect(schedule(7, options)).toEqual(schedule(7, options));
    expect(schedule(8, options)).not.toEqual(schedule(7, options));
  });

  it('has the requested number of faults, each within the limits of its kind', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const faults = schedule(seed, options).flatMap((round) => round.faults);
        expect(faults).toHaveLength(60);
        for (const { kind, durationMs } of faults) {
          const [least, most] = kindOf(kind).durationMs;
          expect(durationMs).toBeGreaterThanOrEqual(least);
          expect(durationMs).toBeLessThanOrEqual(most);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('never has two faults of one resource of one target at a time, and never kills the first relay and agent', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        for (const { faults } of schedule(seed, options)) {
          for (const one of faults) {
            const isSpared = kindOf(one.kind).sparesFirst && ['r1', 'a1'].includes(String(one.target));
            expect(isSpared).toBeFalsy();
            const same = faults.filter(
              (other) =>
                other !== one &&
                String(other.target) === String(one.target) &&
                kindOf(other.kind).resource === kindOf(one.kind).resource,
            );
            for (const other of same)
              expect(one.atMs > other.atMs + other.durationMs || other.atMs > one.atMs + one.durationMs).toBe(
                true,
              );
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('obeys the longest duration, and omits kinds that need more', () => {
    const faults = schedule(3, { ...options, mostMs: 2_000 }).flatMap((round) => round.faults);
    expect(Math.max(...faults.map(({ durationMs }) => durationMs))).toBeLessThanOrEqual(2_000);
    expect(faults.map(({ kind }) => kind)).not.toContain('agent-sleep');
  });

  it('also hits links between relays of a chain, and the agent of the pool', () => {
    const targets = schedule(3, { ...options, count: 300 })
      .flatMap((round) => round.faults)
      .map(({ target }) => [target].flat().join());
    expect(targets).toEqual(expect.arrayContaining(['r1,r2', 'r1,r3', 'r2,r3', 'p1', 'p1,r3']));
  });
});

const fault = (kind: string, target: Fault['target']): Fault => ({
  id: '1.1',
  kind,
  target,
  atMs: 0,
  durationMs: 1_000,
  injectedAt: 10_000,
  healedAt: 11_000,
});
const round = (...faults: Fault[]): Round[] => [
  { number: 1, faults, endedAt: 20_000, healthyAt: { 'a1-web@r1': 12_300 } },
];

const lane: Lane = { id: 'a1-web@r1', ...wayOf('a1', ['r1']) };

describe('the judge', () => {
  const failed = { at: 10_500, end: 10_600, error: 'ECONNRESET' };
  const served = { at: 12_000, end: 12_300 };

  it('excuses a failure when a fault touches the lane, and records when it recovered', () => {
    const { violations, recoveries } = judgeRequests(lane, round(fault('relay-freeze', 'r1')), [
      failed,
      served,
    ]);
    expect(violations).toEqual([]);
    expect(recoveries).toMatchObject([{ tookMs: 1_300 }]);
  });

  it.each([
    ['the fault hit another target', round(fault('relay-freeze', 'r2')), [failed, served]],
    ['the fault is harmless', round(fault('disk-full', 'r1')), [failed, served]],
    ['no fault has begun yet', round(fault('relay-freeze', 'r1')), [{ at: 1, end: 2, error: 'x' }, served]],
    [
      'the lane has recovered',
      round(fault('relay-freeze', 'r1')),
      [served, { at: 30_000, end: 30_100, error: 'x' }],
    ],
    [
      'the response was wrong',
      round(fault('relay-freeze', 'r1')),
      [{ at: 10_500, end: 10_600, wrong: 'byte 3' }, served],
    ],
  ])('reports a violation when %s', (_what, rounds, requests) => {
    expect(judgeRequests(lane, rounds, requests).violations).toHaveLength(1);
  });

  it.each([undefined, 11_000 + 12_001])(
    'reports a violation when the lane recovered too late, or never (%s)',
    (at) => {
      const [only] = round(fault('relay-freeze', 'r1'));
      const late = { ...only!, endedAt: 60_000, healthyAt: at === undefined ? {} : { [lane.id]: at } };
      expect(judgeRequests(lane, [late], [failed, served]).violations).toMatchObject([
        { what: 'did not recover within 12000 ms' },
      ]);
    },
  );

  it('lets a stream through a killed process end early, but never with wrong bytes', () => {
    const broken = { at: 9_000, end: 10_400, how: 'broken', bytes: 100, detail: 'ECONNRESET' };
    expect(judgeStream(lane, round(fault('relay-kill', 'r1')), broken)).toBeUndefined();
    expect(judgeStream(lane, round(fault('relay-freeze', 'r1')), broken)).toBeDefined();
    expect(judgeStream(lane, round(fault('relay-kill', 'r2')), broken)).toBeDefined();
    const wrong = { ...broken, how: 'wrong' };
    expect(judgeStream(lane, round(fault('relay-kill', 'r1')), wrong)).toBeDefined();
  });

  it('lets a stream end early when its service moved because of a fault and its drain timed out', () => {
    const stream = { at: 9_000, end: 20_600, how: 'broken', bytes: 100, detail: 'ECONNRESET' };
    const rounds = [{ ...round(fault('relay-freeze', 'r1'))[0]!, endedAt: 40_000 }];
    const move = { agent: 'a1', relay: 'r1', at: 10_500 };
    expect(judgeStream(lane, rounds, stream, [move])).toBeUndefined();
    expect(judgeStream(lane, rounds, stream)).toBeDefined();
    expect(judgeStream(lane, rounds, stream, [{ ...move, relay: 'r2' }])).toBeDefined();
    expect(judgeStream(lane, rounds, { ...stream, end: 15_000 }, [move])).toBeDefined();
    expect(judgeStream(lane, rounds, { ...stream, how: 'short' }, [move])).toBeDefined();
  });

  it('counts no timeout as a violation on a machine without free CPU time', () => {
    const [late, cut] = [
      { at: 1, end: 12_001, error: 'timed out' },
      { at: 1, end: 400, error: 'ECONNRESET' },
    ];
    const seen: Seen[] = [
      { ...late, load: 4.1 },
      { ...late, load: 1.1 },
      { ...cut, load: 4.1 },
    ];
    expect(seen.map((one) => judgeRequests(lane, [], [one]).violations.length)).toEqual([0, 1, 1]);
  });

  const chained: Lane = { id: 'a1-three-tcp@r2,r3,r1', ...wayOf('a1', ['r2', 'r3', 'r1']) };

  it.each([
    ['relay-freeze', 'r3', true],
    ['peer-partition', ['r3', 'r2'], true],
    ['peer-partition', ['r1', 'r3'], true],
    ['partition', ['a1', 'r1'], true],
    // Not a link of this chain.
    ['peer-partition', ['r1', 'r2'], false],
    ['partition', ['a1', 'r2'], false],
    ['agent-freeze', 'a2', false],
  ])('%s of %s may be noticed in the chain r2 ← r3 ← r1 ← a1: %s', (kind, target, isExcused) => {
    const { violations } = judgeRequests(chained, round(fault(kind, target)), [failed]);
    expect(violations.filter(({ what }) => what.includes('failed'))).toHaveLength(isExcused ? 0 : 1);
  });

  it('gives a chain the time of one more session for each further relay', () => {
    const healthyAfter = (ms: number): Round[] =>
      round(fault('relay-freeze', 'r1')).map((one) => ({
        ...one,
        endedAt: 90_000,
        healthyAt: { [chained.id]: 11_000 + ms },
      }));
    expect(judgeRequests(chained, healthyAfter(32_000), []).violations).toEqual([]);
    expect(judgeRequests(chained, healthyAfter(32_001), []).violations).toHaveLength(1);
  });

  it.each([
    ['relay-freeze', 'r1', 0],
    ['partition', ['p1', 'r1'], 0],
    ['agent-kill', 'p1', 0],
    ['relay-freeze', 'r2', 1],
    ['disk-full', 'r1', 1],
    ['peer-partition', ['r1', 'r2'], 1],
    // The agent notices that it was frozen.
    ['agent-freeze', 'p1', 1],
  ])('a relay of a pool is left after %s of %s: %i violations', (kind, target, count) => {
    const moves = [{ agent: 'p1', relay: 'r1', at: 10_900 }];
    expect(judgeMoves(round(fault(kind, target)), moves)).toHaveLength(count);
  });
});

const freeze = (target: string, durationMs: number): Fault => ({
  id: target,
  kind: 'relay-freeze',
  target,
  atMs: 0,
  durationMs,
});

it('sees a lane recover while a fault of another lane lasts', async () => {
  const relay = { program: { signal: () => true } };
  const world = {
    lanes: [lane],
    places: [],
    relays: new Map([
      ['r1', relay],
      ['r2', relay],
    ]),
    agents: new Map([['a1', { phaseOf: () => 'ready' }]]),
    on: { onTrouble: (what: string) => expect.fail(what) },
  };
  const watch = { whyUnhealthy: () => undefined };
  const both: Round = { number: 1, faults: [freeze('r1', 1), freeze('r2', 700)] };
  await playRound(world, watch, both, new AbortController().signal);
  expect(both.healthyAt?.[lane.id]).toBeLessThan(both.faults[1]!.healedAt!);
});

it('finds a byte that is lost, repeated, changed or from another stream', () => {
  const bytes = pattern(5, 0, 1_000);
  expect(firstWrong(5, 0, bytes)).toBeUndefined();
  expect(firstWrong(5, 3, bytes.subarray(3, 700))).toBeUndefined();
  for (const at of [0, 1, 499, 999]) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1;
    expect(firstWrong(5, 0, changed)).toBe(at);
  }
  expect(firstWrong(5, 0, Buffer.concat([bytes.subarray(0, 8), bytes.subarray(9)]))).toBeLessThan(16);
  expect(firstWrong(5, 0, pattern(6, 0, 16))).toBeLessThan(16);
});

describe('a line about a lease', () => {
  const present = { lease: 'second', phase: 'ready' };
  it.each([
    ['of the current one', present, { lease: 'second', phase: 'closed' }, false],
    ['of an earlier one that drains', present, { lease: 'first', phase: 'draining' }, true],
    [
      'of an earlier one that closed while the next opens',
      { phase: 'opening' },
      { lease: 'first', phase: 'closed' },
      true,
    ],
    // Its event of opening had the previous id, and it left the relay before it was ready.
    [
      'that reconnects, and drains',
      { lease: 'first', phase: 'opening' },
      { lease: 'second', phase: 'draining' },
      false,
    ],
    ['of a new service', undefined, { lease: 'first', phase: 'draining' }, false],
  ])('%s', (_what, before, line, isFormer) => {
    expect(isOfFormer(before, line)).toBe(isFormer);
  });
});
