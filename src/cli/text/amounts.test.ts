import { expect, it } from 'vitest';
import {
  formatAge,
  formatAgo,
  formatEnd,
  formatSpan,
  formatWait,
  parseDurationMs,
  utcText,
} from './amounts.js';

it.each([
  [0, '0s', 'just now'],
  [-5_000, '0s', 'just now'],
  [1_000, '1s', '1 second ago'],
  [59_999, '59s', '59 seconds ago'],
  [120_000, '2m', '2 minutes ago'],
  [3_600_000, '1h', '1 hour ago'],
  [3 * 86_400_000, '3d', '3 days ago'],
])('an age of %d ms is short in tables and a sentence elsewhere', (ms, short, long) => {
  expect([formatAge(ms), formatAgo(ms)]).toEqual([short, long]);
});

it('shows the day on which something ends, and how long that is from now', () => {
  const end = new Date('2027-03-02T23:30:00Z');
  expect(formatEnd(end, Date.parse('2026-11-30T21:00:00Z'))).toBe('2 March 2027 (in 92 days)');
  expect(formatEnd(end, Date.parse('2027-03-02T22:30:00Z'))).toBe('2 March 2027 (in 1 hour)');
  expect(formatEnd(end, Date.parse('2027-03-03T00:00:00Z'))).toBe('2 March 2027');
  expect(formatEnd(end, Date.parse('2022-03-02T21:00:00Z'))).toBe('2 March 2027 (in 5 years)');
  expect(formatEnd(end, Date.parse('2025-08-02T21:00:00Z'))).toBe('2 March 2027 (in 19 months)');
});

it.each([
  [0, '1 s'],
  [47_200, '48 s'],
  [121_000, '3 min'],
  [7_200_000, '120 min'],
  [7_201_000, '3 h'],
  [7 * 86_400_000, '7 days'],
])('a wait of %i ms is %s', (ms, text) => {
  expect(formatWait(ms)).toBe(text);
});

it.each([
  [0, '0'],
  [500, '500ms'],
  [30_000, '30s'],
  [90_000, '90s'],
  [600_000, '10m'],
  [7_200_000, '2h'],
  [2_592_000_000, '30d'],
])('a limit of %i ms is written as %s, which a flag accepts', (ms, text) => {
  expect(formatSpan(ms)).toBe(text);
  expect(parseDurationMs(text, 'ms')).toBe(ms);
});

it('shows a moment with its time zone', () => {
  expect(utcText(Date.parse('2026-12-02T20:57:14.000Z'))).toBe('2026-12-02 20:57 UTC');
});
