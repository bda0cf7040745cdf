import type { Field } from '../../src/agent/inspect/wire.js';

export interface Difference {
  readonly name: string;
  /** Absent if the field is absent. */
  readonly before?: string;
  readonly after?: string;
}

/** Fields by name, repeated ones in their order; equal ones are omitted. */
export function fieldDifferences(before: readonly Field[], after: readonly Field[]): Difference[] {
  const names = new Set([...before, ...after].map(({ name }) => name.toLowerCase()));
  return [...names].flatMap((name) => {
    const [one, other] = [valuesOf(before, name), valuesOf(after, name)];
    return Array.from({ length: Math.max(one.length, other.length) }, (_, i): Difference => ({
      name,
      ...(one[i] !== undefined && { before: one[i] }),
      ...(other[i] !== undefined && { after: other[i] }),
    })).filter((row) => row.before !== row.after);
  });
}

const valuesOf = (fields: readonly Field[], name: string): string[] =>
  fields.filter((field) => field.name.toLowerCase() === name).map(({ value }) => value);

export interface Line {
  readonly kind: 'same' | 'before' | 'after';
  readonly text: string;
}

/** The size of the table for the comparison is the product of the two line counts. */
const MAX_CELLS = 4_000_000;

/** Lines that only `before` has, that only `after` has, and that both have. */
export function lineDifferences(before: string, after: string): Line[] {
  const [one, other] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start++;
  let end = 0;
  while (
    end < one.length - start &&
    end < other.length - start &&
    one[one.length - 1 - end] === other[other.length - 1 - end]
  )
    end++;
  const middle = between(one.slice(start, one.length - end), other.slice(start, other.length - end));
  return [...same(one.slice(0, start)), ...middle, ...same(one.slice(one.length - end))];
}

const same = (lines: readonly string[]): Line[] => lines.map((text) => ({ kind: 'same', text }));

function between(one: readonly string[], other: readonly string[]): Line[] {
  const width = other.length + 1;
  if (one.length * other.length > MAX_CELLS) {
    return [
      ...one.map((text): Line => ({ kind: 'before', text })),
      ...other.map((text): Line => ({ kind: 'after', text })),
    ];
  }
  // The length of the longest common subsequence of the lines from here to the end.
  const longest = new Uint32Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      longest[i * width + j] =
        one[i] === other[j]
          ? longest[(i + 1) * width + j + 1]! + 1
          : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) {
      lines.push({ kind: 'same', text: one[i]! });
      i++;
      j++;
    } else if (
      j >= other.length ||
      (i < one.length && longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)
    )
      lines.push({ kind: 'before', text: one[i++]! });
    else lines.push({ kind: 'after', text: other[j++]! });
  }
  return lines;
}
