import { expect, it } from 'vitest';
import { Steps } from './steps.js';

function stepsOf(): { steps: Steps<string>; proceeded: string[] } {
  const proceeded: string[] = [];
  return { steps: new Steps((one) => void proceeded.push(one)), proceeded };
}

it('lets all proceed when the last has come to the step', () => {
  const { steps, proceeded } = stepsOf();
  steps.arrive('a', ['a', 'b']);
  expect(proceeded).toEqual([]);
  steps.arrive('b', ['a', 'b']);
  expect(proceeded).toEqual(['a', 'b']);
  steps.arrive('b', ['a', 'b']);
  expect(proceeded).toEqual(['a', 'b']);
  steps.arrive('a', ['a', 'b']);
  expect(proceeded).toEqual(['a', 'b', 'a', 'b']);
});

it('does not wait for one that has ended', () => {
  const { steps, proceeded } = stepsOf();
  steps.arrive('a', ['a', 'b']);
  steps.check(['a']);
  expect(proceeded).toEqual(['a']);
});

it('counts the steps of one that no longer waits for the others', () => {
  const { steps, proceeded } = stepsOf();
  for (let step = 0; step < 3; step++) steps.arrive('a', ['a', 'b']);
  for (let step = 0; step < 2; step++) steps.arrive('b', ['a', 'b']);
  expect(proceeded).toEqual(['a', 'b', 'a', 'b']);
});

it('starts with no step, and does nothing when none runs', () => {
  const { steps, proceeded } = stepsOf();
  steps.check(['a']);
  steps.check([]);
  expect(proceeded).toEqual([]);
});
