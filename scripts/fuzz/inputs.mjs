import { below, pick, randomBytes } from './chance.mjs';

/** Broken inputs for any format. */

const generalMutations = [flipBit, setByte, truncate, cutOut, repeat, splice];

function flipBit(random, input) {
  const output = Buffer.from(input);
  if (output.length > 0) output[below(random, output.length)] ^= 1 << below(random, 8);
  return output;
}

function setByte(random, input) {
  const output = Buffer.from(input);
  if (output.length > 0)
    output[below(random, output.length)] = pick(random, [0, 1, 0x7f, 0x80, 0xff, below(random, 256)]);
  return output;
}

function truncate(random, input) {
  return input.subarray(0, below(random, input.length + 1));
}

function cutOut(random, input) {
  const at = below(random, input.length + 1);
  return Buffer.concat([input.subarray(0, at), input.subarray(at + below(random, 16))]);
}

function repeat(random, input) {
  const at = below(random, input.length + 1);
  const part = input.subarray(at, at + below(random, 64));
  return Buffer.concat([input.subarray(0, at), part, input.subarray(at)]);
}

function splice(random, input, corpus) {
  const other = pick(random, corpus);
  return Buffer.concat([
    input.subarray(0, below(random, input.length + 1)),
    other.subarray(below(random, other.length + 1)),
  ]);
}

/**
 * One input: usually a valid one broken in a few places, sometimes noise from the first byte or after a valid start.
 */
export function makeInput(random, { corpus, mutations }) {
  const kind = random();
  if (kind < 0.03) return randomBytes(random, below(random, 300));
  const seedInput = pick(random, corpus);
  if (kind < 0.1) {
    return Buffer.concat([seedInput.subarray(0, below(random, 64)), randomBytes(random, below(random, 300))]);
  }
  let input = seedInput;
  for (let left = below(random, 4); left >= 0; left--) {
    const mutate = pick(random, random() < 0.5 && mutations.length > 0 ? mutations : generalMutations);
    input = mutate(random, input, corpus);
  }
  return input;
}
