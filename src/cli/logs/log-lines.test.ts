import { expect, it } from 'vitest';
import type { Entry } from '../control/history.js';
import { LogLines } from './log-lines.js';
import { createStyle } from '../text/style.js';
import type { Verbosity } from '../verbosity.js';

const AT = new Date(2026, 0, 2, 3, 4, 5);
const time = AT.toISOString();
const lease = (phase: 'opening' | 'ready'): Entry => ({
  time,
  event: 'lease',
  service: 'web',
  relay: 'https://r',
  phase,
  ...(phase === 'ready' && { url: 'https://web.r' }),
});
const target = (reachable: boolean): Entry => ({
  time,
  event: 'target',
  service: 'web',
  target: 'localhost:1',
  reachable,
  ...(!reachable && { error: 'nothing listens on port 1' }),
});
const log = (level: 'info' | 'warn', message: string, fields: Record<string, unknown>): Entry => ({
  time,
  event: 'log',
  level,
  message,
  fields,
});

function lines(entries: readonly Entry[], verbosity: Verbosity = 'normal', now = AT.getTime()): string[] {
  const written = new LogLines(createStyle(false), verbosity);
  return entries.map((entry) => written.describe(entry, now)).filter((line) => line !== undefined);
}

it('shows what `up` prints, without steps and first answers, and all of it if verbose', () => {
  const entries = [
    log('info', 'session open', { session: 'f3a9', relay: 'https://r' }),
    lease('opening'),
    target(true),
    lease('ready'),
    target(false),
    target(true),
  ];
  expect(lines(entries)).toEqual([
    '03:04:05 web: ready at https://web.r',
    '03:04:05 web: unreachable: nothing listens on port 1',
    '03:04:05 web: localhost:1 is reachable',
  ]);
  expect(lines(entries, 'verbose')).toHaveLength(entries.length);
  expect(lines(entries, 'verbose')[0]).toBe('03:04:05 session open (session f3a9, relay https://r)');
});

it('shows a logged warning as a sentence, with its hint on a line of its own', () => {
  const fields = {
    service: 'web',
    reason: 'EACCES\u001b[2J',
    code: 'io',
    folder: '/h',
    hint: 'Allow it.',
    skipped: ['a', 'b'],
  };
  expect(lines([log('warn', 'cannot keep requests', fields)])).toEqual([
    '03:04:05 warning: web: cannot keep requests: EACCES [2J (folder /h, skipped a, b)\n  Allow it.',
  ]);
});

it('shows the date of an entry that is not of today', () => {
  expect(lines([lease('ready')], 'normal', AT.getTime() + 86_400_000)[0]).toMatch(
    /^2026-01-02 03:04:05 web: /,
  );
});
