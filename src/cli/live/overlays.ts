import { wrapWords } from '../text/wrap.js';
import { isShareable } from './actions.js';
import { SIGNS } from '../text/signs.js';
import { rowsOf } from './render.js';
import type { Overlay } from './screen.js';

const HELP = [
  '  ↑ ↓   choose a service',
  '  o     open its URL in the browser',
  '  c     copy its address, through the terminal (OSC 52) or tmux',
  '  q     show its URL as a QR code',
  '  i     open the inspector, if a service has `inspect: true`',
  '  ?     show or hide this help',
  '',
  `  ${SIGNS.ok} ready, ${SIGNS.warning} degraded, ${SIGNS.problem} failed, … starting.`,
  '  target down: the local service does not respond.',
  '  OPEN: connections now. REQUESTS: – if not HTTP.',
  '  LAST: status of the last response since the target recovered.',
  `  TARGET, if there is room: ${SIGNS.ok} reachable, ${SIGNS.problem} down, blank unknown.`,
  '',
  '  Ctrl-C  stop',
];

/** Rows below an overlay: an empty line, the keys, and the line of the cursor. */
const BELOW = 3;

const wrapped = (lines: readonly string[], columns: number): string[] =>
  lines.flatMap((line) => wrapWords(line, columns - 1).split('\n'));

/** Explains keys, marks and columns. A low terminal has no room for empty lines. */
export const help: Overlay = ({ columns, rows }) => {
  const lines = wrapped(HELP, columns);
  return lines.length + BELOW <= rows ? lines : lines.filter((line) => line !== '');
};

/** A QR code with its address, or the size that it needs. */
export function qrOverlay(code: readonly string[], address: string): Overlay {
  const remark =
    'Other devices cannot reach this address: it leads to this machine only. Use a relay that others can reach.';
  const remarks = (columns: number): string[] => (isShareable(address) ? [] : wrapped([remark], columns));
  return (size) => {
    const columns = Math.max(size.columns, code[0]!.length + 1);
    const lines = [...code, address, ...remarks(columns)];
    const rows = rowsOf(lines, columns) + BELOW;
    if (size.columns >= columns && size.rows >= rows) return lines;
    const wide = size.columns < columns ? ` and ${columns} columns` : '';
    return wrapped([`  The QR code needs a terminal of ${rows} rows${wide}.`], size.columns);
  };
}
