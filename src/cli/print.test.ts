import { expect, it } from 'vitest';
import { jsonLine } from './print.js';

it('JSON contains no control characters, and parses to the same value', () => {
  const value = { target: '/\u001b[2J\u009b2J\u202egpj.exe\u2028ü"\n', more: ['😀'] };
  const line = jsonLine(value);
  expect(line).not.toMatch(/\p{Cc}|\p{Bidi_Control}|\p{Zl}/u);
  expect(line).toContain('😀');
  expect(JSON.parse(line)).toEqual(value);
});
