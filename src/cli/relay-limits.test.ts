import { describe, expect, it } from 'vitest';
import { LIMITS } from '../protocol/limits.js';
import { ADJUSTABLE, LIMIT_NAMES, rangeOf } from '../relay/limits.js';
import { limitsHelp, parseLimits } from './relay-limits.js';

describe('the names of limits', () => {
  it('say of whom it is: PerIdentity, PerAddress, PerSession or PerLease', () => {
    const named = LIMIT_NAMES.filter((name) => name.startsWith('max')).map((name) => {
      const [, whom] = /\bone (identity|address|session|lease)\b/.exec(ADJUSTABLE[name].what) ?? [];
      const [, said] = /Per(Identity|Address|Session|Lease)$/.exec(name) ?? [];
      return [name, whom, said?.toLowerCase()];
    });
    expect(named.filter(([, whom, said]) => whom !== said)).toEqual([]);
  });
});

describe('--limit', () => {
  it.each([
    ['maxSessions=5', { maxSessions: 5 }],
    ['graceMs=0', { graceMs: 0 }],
    ['graceMs=1500', { graceMs: 1_500 }],
    ['graceMs=2m', { graceMs: 120_000 }],
    ['visitorLifetimeMs=30d', { visitorLifetimeMs: 2_592_000_000 }],
    ['maxBytesPerSecondPerIdentity=10M', { maxBytesPerSecondPerIdentity: 10_485_760 }],
    ['maxUnroutedBytes=1024', { maxUnroutedBytes: 1_024 }],
  ])('%s', (typed, limits) => expect(parseLimits([typed])).toEqual(limits));

  it('the last one of a name counts', () =>
    expect(parseLimits(['maxSessions=1', 'maxSessions=2'])).toEqual({ maxSessions: 2 }));

  it.each([
    ['maxSesions=5', '"maxSesions" is no limit', 'Did you mean maxSessions?'],
    ['nothing of the kind=5', 'is no limit', '--help'],
    ['toString=5', 'is no limit', '--help'],
    ['maxSessions', '"" is no value', 'maxSessions=100'],
    ['maxSessions=0', '"0" is no value', 'from 1 on'],
    ['maxSessions=1e3', '"1e3" is no value', 'a number'],
    ['maxSessions=5s', '"5s" is no value', 'a number'],
    ['heartbeatMs=5', '"5" is no value', 'from 10 to 600000'],
    ['graceMs=-1', '"-1" is no value', '30s'],
    ['ticketMs=30d', '"30d" is no value', 'to 2147483647'],
  ])('%s is refused: %s', (typed, message, hint) =>
    expect(() => parseLimits([typed])).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: expect.stringContaining(message),
        hint: expect.stringContaining(hint),
      }),
    ),
  );

  it('every limit has its default within its own range, and is listed', () => {
    for (const name of LIMIT_NAMES) {
      const { min, max } = rangeOf(name);
      expect(LIMITS[name]).toBeGreaterThanOrEqual(min);
      expect(LIMITS[name]).toBeLessThanOrEqual(max);
      expect(limitsHelp()).toContain(name);
    }
  });
});
