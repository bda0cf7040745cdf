import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../protocol/limits.js';
import { ADJUSTABLE, LIMIT_NAMES, rangeOf } from '../../relay/limits.js';
import { limitsHelp, parseLimits } from './limits.js';

describe('the names of limits', () => {
  it('end in PerIdentity, PerAddress, PerSession or PerLease, if the limit is for one of them', () => {
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

  it('uses the last value of a repeated limit', () =>
    expect(parseLimits(['maxSessions=1', 'maxSessions=2'])).toEqual({ maxSessions: 2 }));

  it.each([
    ['maxSesions=5', '"maxSesions" is not a limit', 'Did you mean `maxSessions`?'],
    ['nothing of the kind=5', 'is not a limit', '--help'],
    ['toString=5', 'is not a limit', '--help'],
    ['maxSessions', '"" is invalid', 'maxSessions=100'],
    ['maxSessions=0', '"0" is invalid', 'of at least 1'],
    ['maxSessions=1e3', '"1e3" is invalid', 'a number'],
    ['maxSessions=5s', '"5s" is invalid', 'a number'],
    ['heartbeatMs=5', '"5" is invalid', 'from 10 to 600000'],
    ['graceMs=-1', '"-1" is invalid', '30s'],
    ['ticketMs=30d', '"30d" is invalid', 'to 2147483647'],
  ])('rejects %s: %s', (typed, message, hint) =>
    expect(() => parseLimits([typed])).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: expect.stringContaining(message),
        hint: expect.stringContaining(hint),
      }),
    ),
  );

  it('lists every limit, with a default within its range', () => {
    for (const name of LIMIT_NAMES) {
      const { min, max } = rangeOf(name);
      expect(LIMITS[name]).toBeGreaterThanOrEqual(min);
      expect(LIMITS[name]).toBeLessThanOrEqual(max);
      expect(limitsHelp()).toContain(name);
    }
  });
});
