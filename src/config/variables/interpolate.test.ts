import { describe, expect, it } from 'vitest';
import { interpolate } from './interpolate.js';

const VARIABLES: Readonly<Record<string, string>> = { A: 'one', B: 'two', EMPTY: '', DOLLAR: '${A}$$' };
const lookup = (name: string): string | undefined => VARIABLES[name];

describe('interpolate', () => {
  it.each([
    ['plain', 'plain'],
    ['${A}', 'one'],
    ['x${A}y${B}z', 'xoneytwoz'],
    ['${EMPTY}', ''],
    ['${EMPTY:-d}', 'd'],
    ['${NONE:-d}', 'd'],
    ['${NONE:-}', ''],
    ['${A:-d}', 'one'],
    ['${A:?said}', 'one'],
    ['${NONE:-${B}}', 'two'],
    ['${NONE:-${NONE2:-x}-${A}}', 'x-one'],
    ['${A:-${NONE}}', 'one'], // an unused default needs no variables
    ['${NONE:-a$$b}', 'a$b'],
    ['$$', '$'],
    ['$${A}', '${A}'],
    ['$$$${A}', '$${A}'],
    ['$$${A}', '$one'],
    ['a $ b', 'a $ b'],
    ['costs 5$', 'costs 5$'],
    ['$1', '$1'],
    ['}', '}'],
    ['${DOLLAR}', '${A}$$'], // a value is not interpolated again
  ])('%s gives %s', (input, text) => {
    expect(interpolate(input, lookup)).toMatchObject({ text, errors: [] });
  });

  it.each([
    ['${NONE}', 'the variable NONE is not set'],
    ['${NONE:?set NONE first}', 'set NONE first'],
    ['${EMPTY:?}', 'the variable EMPTY is empty'],
    ['${', 'a variable name must follow `${`'],
    ['${}', 'a variable name must follow `${`'],
    ['${1A}', 'a variable name must follow `${`'],
    ['${A', '`${` is not closed'],
    ['${A:-x', '`${` is not closed'],
    ['${A:?x', '`${` is not closed'],
    ['${A-x}', 'after `${NAME` only `}`, `:-` or `:?` can follow'],
    ['${A:x}', 'after `${NAME` only `}`, `:-` or `:?` can follow'],
    ['${A b}', 'after `${NAME` only `}`, `:-` or `:?` can follow'],
    ['${A:-${B', '`${` is not closed'],
    ['${NONE:?see ${A}}', 'a message after `:?` cannot contain another `${`'],
  ])('%s is rejected: %s', (input, message) => {
    const { errors } = interpolate(input, lookup);
    expect(errors.map((error) => error.message)).toEqual([message]);
  });

  it('reports every missing variable with its expression', () => {
    const { errors } = interpolate('${X} and ${A} and ${Y:?need Y}', lookup);
    expect(errors.map((error) => error.expression)).toEqual(['${X}', '${Y:?need Y}']);
  });

  it('rejects defaults that are nested too deeply', () => {
    const { errors } = interpolate('${N:-'.repeat(50_000), lookup);
    expect(errors.map((error) => error.message)).toEqual(['defaults are nested too deeply']);
  });

  it('notices a variable without braces', () => {
    expect(interpolate('$A and $$B and $', lookup)).toMatchObject({
      text: '$A and $B and $',
      bareNames: ['A'],
    });
  });
});

it('lists all variables in a text, needed or not', () => {
  expect(interpolate('${A:-${X:-${Y}}} $D $${E}', lookup).names).toEqual(['A', 'X', 'Y']);
  expect(interpolate('$A ${X+$Y}', lookup, 'compose').names).toEqual(['A', 'X', 'Y']);
});
