import stringWidth from 'string-width';
import type { View } from './model.js';
import { cut, wrapped, type Screen } from './screen.js';

/** The result of the last key, or the keys. */
export function footerOf(view: View, screen: Screen): string[] {
  const { dim } = screen.style;
  if (screen.message !== undefined) return wrapped(`  ${screen.message}`, screen);
  if (!screen.hasKeys) return [];
  const inspector = view.inspector === undefined ? [] : ['i inspector'];
  const named = ['o open', 'c copy'];
  // While the agent stops, all services drain, and the next Ctrl-C does not wait for their visitors.
  const isStopping = view.services.length > 0 && view.services.every(({ state }) => state === 'stopping');
  const stop = isStopping ? 'Ctrl-C stop at once' : 'Ctrl-C stop';
  const last = ['? help', stop];
  const keys = [
    [...named, 'q QR code', ...inspector, ...last],
    [...named, 'q QR', ...inspector, ...last],
    ['o open', ...inspector, ...last],
    [...inspector, ...last],
    [...inspector.map(() => 'i'), stop],
  ].map((each) => `  ${each.join(' · ')}`);
  return [dim(keys.find((line) => stringWidth(line) < screen.columns) ?? cut(keys.at(-1)!, screen))];
}

/** The overlay above the keys, or the part of it that `scroll` shows. */
export function overlayLines(lines: readonly string[], footer: readonly string[], screen: Screen): string[] {
  if (lines.length + footer.length < screen.rows - 1) return [...lines, '', ...footer];
  const shown = Math.max(1, screen.rows - footer.length - 2);
  const from = Math.min(screen.scroll, lines.length - shown);
  const where = cut(`  ↑↓  lines ${from + 1}–${from + shown} of ${lines.length}`, screen);
  return [...lines.slice(from, from + shown), screen.style.dim(where), ...footer];
}

/** The greatest `scroll` for this overlay: 0 if all of it fits. */
export function maxScroll(view: View, screen: Screen): number {
  const lines = screen.overlay?.(screen) ?? [];
  const footer = footerOf(view, screen);
  if (lines.length + footer.length < screen.rows - 1) return 0;
  return Math.max(0, lines.length - Math.max(1, screen.rows - footer.length - 2));
}
