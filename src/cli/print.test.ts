import { expect, it } from 'vitest';
import { fitColumns } from './columns.js';
import { jsonLine } from './print.js';

it('JSON contains no control characters, and parses to the same value', () => {
  const value = { target: '/\u001b[2J\u009b2J\u202egpj.exe\u2028ü"\n', more: ['😀'] };
  const line = jsonLine(value);
  expect(line).not.toMatch(/\p{Cc}|\p{Bidi_Control}|\p{Zl}/u);
  expect(line).toContain('😀');
  expect(JSON.parse(line)).toEqual(value);
});

it('drops columns until a table fits, in the given order', () => {
  const table = [['NAME', 'STATE', 'OUT', 'IN'], ['web', 'ready', '1 B', '2 B'], ['api']];
  expect(fitColumns(table, ['IN', 'OUT'], 24)[0]).toBe('NAME  STATE  OUT  IN');
  expect(fitColumns(table, ['IN', 'OUT'], 17)).toEqual(['NAME  STATE  OUT', 'web   ready  1 B', 'api']);
  expect(fitColumns(table, ['none', 'OUT', 'IN'], 12)).toEqual(['NAME  STATE', 'web   ready', 'api']);
  // Columns that are not optional stay.
  expect(fitColumns(table, ['IN', 'OUT'], 3)[0]).toBe('NAME  STATE');
});
