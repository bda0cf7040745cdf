import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { INSPECT_LIMITS } from './limits.js';
import { HISTORY_LIMITS } from './history/limits.js';

const document = readFileSync(new URL('../../../docs/guides/inspector.md', import.meta.url), 'utf8');

it('documents every limit', () => {
  const factors: Record<string, number> = { MiB: 1024 * 1024, KiB: 1024, s: 1_000, d: 86_400_000 };
  const documented = [...document.matchAll(/^\| `(\w+)` +\| ([\d,]+) ?(\w*) +\|/gm)].map(
    ([, name, value, unit]) => [name, Number(value!.replaceAll(',', '')) * (factors[unit!] ?? 1)],
  );
  expect(documented).toEqual([...Object.entries(HISTORY_LIMITS), ...Object.entries(INSPECT_LIMITS)]);
});
