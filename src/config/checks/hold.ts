import { MAX_HOLD_MS } from '../../agent/spec.js';
import type { Report } from './check.js';
import { durationMs } from '../normalise.js';
import { child, textOf, type Path, type Tree } from '../text/tree.js';

/** Checks `hold` of a service or a route. The schema has checked its form. */
export function checkHold(path: Path, of: Tree, report: Report): void {
  const text = textOf(child(of, 'hold'));
  if (text === undefined || !(durationMs(text) > MAX_HOLD_MS)) return;
  report([...path, 'hold'], {
    message: `a request cannot be held for ${text}: 7 days is the limit`,
    hint: 'Write `hold: 7d`, or a shorter time.',
  });
}
