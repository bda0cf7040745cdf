import { expect, it } from 'vitest';
import { fitColumns } from './columns.js';

it('drops columns until a table fits, in the given order', () => {
  const table = [['NAME', 'STATE', 'OUT', 'IN'], ['web', 'ready', '1 B', '2 B'], ['api']];
  expect(fitColumns(table, { optional: ['IN', 'OUT'], width: 24 })[0]).toBe('NAME  STATE  OUT  IN');
  expect(fitColumns(table, { optional: ['IN', 'OUT'], width: 17 })).toEqual([
    'NAME  STATE  OUT',
    'web   ready  1 B',
    'api',
  ]);
  expect(fitColumns(table, { optional: ['none', 'OUT', 'IN'], width: 12 })).toEqual([
    'NAME  STATE',
    'web   ready',
    'api',
  ]);
  // Columns that are not optional stay.
  expect(fitColumns(table, { optional: ['IN', 'OUT'], width: 3 })[0]).toBe('NAME  STATE');
});

it('cuts the last column before it drops others, where that leaves enough of it', () => {
  const table = [
    ['ID', 'SIZE', 'PATH'],
    ['1-1', '5 B', '/a/long/path'],
  ];
  const cut = (width: number) => fitColumns(table, { optional: ['SIZE', 'ID'], width, cutsLastTo: 6 });
  expect(cut(23)[1]).toBe('1-1  5 B   /a/long/path');
  expect(cut(18)).toEqual(['ID   SIZE  PATH', '1-1  5 B   /a/lon…']);
  expect(cut(16)).toEqual(['ID   PATH', '1-1  /a/long/pa…']);
  expect(cut(8)).toEqual(['PATH', '/a/long…']);
});
