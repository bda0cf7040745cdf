import stringWidth from 'string-width';
import { formatBytes } from '../text/amounts.js';
import { filled } from '../text/columns.js';
import { SIGNS } from '../text/signs.js';
import type { Paint } from '../text/style.js';
import { footerOf, overlayLines } from './footer.js';
import type { RelayView, RequestView, ServiceView, State, View } from './model.js';
import { cut, wrapped, type Screen } from './screen.js';

const MAX_REQUESTS = 5;
/** If there are more relays, they share one line. */
const MAX_RELAYS = 3;
/** With many relays, this many lost ones have their own lines. */
const MAX_LOST = 2;
/** The part of the screen that relays may use. */
const RELAYS_PART = 1 / 3;
/** A narrower terminal has no live view. */
const MIN_COLUMNS = 40;

/** The lines of the live view, as many as fit. It never breaks a URL: a long URL gets its own lines. */
export function render(view: View, screen: Screen): string[] {
  const footer = footerOf(view, screen);
  const room = screen.rows - 1;
  const overlay = screen.overlay?.(screen);
  if (overlay) return overlayLines(overlay, footer, screen).slice(-room);
  const relays = shortened(relayLines(view.relays, screen), Math.floor(room * RELAYS_PART), screen);
  const narrow = narrowestOf(screen);
  const left = room - rowsOf([...relays, ...footer], narrow);
  const requests = requestLines(view.requests, screen, Math.min(MAX_REQUESTS, Math.floor(left / 4)));
  const services = serviceLines(view.services, screen, Math.max(3, left - rowsOf(requests, narrow)));
  return [...services, ...relays, ...requests, ...footer].slice(-room);
}

/**
 * The width at which all rows still fit. A terminal that becomes narrower wraps the rows, and moves those that no longer fit
 * into its history, where nothing can erase them. So there is room until it has half of its width, as after a split.
 */
const narrowestOf = ({ columns, wraps }: Screen): number =>
  wraps ? Math.min(columns, Math.max(MIN_COLUMNS, Math.ceil(columns / 2))) : columns;

/** As many lines as fit into `rows`. The last one says where to find the others. */
function shortened(lines: readonly string[], rows: number, screen: Screen): readonly string[] {
  if (rowsOf(lines, screen.columns) <= rows) return lines;
  let kept = lines.length;
  while (kept > 1 && rowsOf(lines.slice(0, kept), screen.columns) >= rows) kept--;
  return [...lines.slice(0, kept), screen.style.dim(cut('    …  portal status shows the rest', screen))];
}

interface Column {
  readonly title: string;
  readonly cell: (service: ServiceView, screen: Screen) => string;
}

/** The mark of each state that is not degraded in some way. */
const MARKS: Readonly<Partial<Record<State, string>>> = {
  ready: SIGNS.ok,
  starting: '…',
  stopping: '…',
  failed: SIGNS.problem,
  'no relay': SIGNS.problem,
};

function paintOf({ style }: Screen, { state }: ServiceView): Paint {
  if (state === 'ready') return style.green;
  return state === 'failed' || state === 'no relay' ? style.red : style.yellow;
}

const stateText = ({ state, held }: ServiceView): string => (held === 0 ? state : `${state}, ${held} held`);

const targetMark = ({ isReachable }: ServiceView, { style }: Screen): string => {
  if (isReachable === undefined) return ' ';
  return isReachable ? style.green(SIGNS.ok) : style.red(SIGNS.problem);
};

const NAME: Column = {
  title: 'SERVICE',
  cell: (service, screen) =>
    `${paintOf(screen, service)(MARKS[service.state] ?? SIGNS.warning)} ${screen.style.bold(service.service)}`,
};
const STATE: Column = {
  title: 'STATE',
  // Each layout has this column, so that held requests are seen at any width.
  cell: (service, screen) => paintOf(screen, service)(stateText(service)),
};
const ADDRESS: Column = {
  title: 'ADDRESS',
  cell: ({ addresses }, { style }) => style.cyan(addresses[0] ?? ''),
};
const TARGET: Column = {
  title: 'TARGET',
  cell: (service, screen) => `${targetMark(service, screen)} ${service.target}`,
};
const OPEN: Column = { title: 'OPEN', cell: ({ open }) => String(open) };
const REQUESTS: Column = {
  title: 'REQUESTS',
  cell: ({ requests }) => (requests === undefined ? '–' : String(requests)),
};
/** Wide enough for most rates, so that a changing rate neither moves nor removes a column. */
const RATE_COLUMNS = { requests: '999/s'.length, bytes: '999.9 MB/s'.length };
const RATE: Column = {
  title: 'RATE',
  cell: ({ rate }) => rateText(rate).padEnd(RATE_COLUMNS[rate.unit]),
};
const LAST: Column = {
  title: 'LAST',
  cell: ({ lastStatus, isLastOutdated, isReachable }, { style }) => {
    if (lastStatus === undefined) return '';
    // An error from before the recovery would look like an error of now.
    if (isLastOutdated && isReachable !== false && lastStatus >= 500) return '';
    if (isLastOutdated) return style.dim(String(lastStatus));
    return lastStatus >= 500 ? style.red(String(lastStatus)) : String(lastStatus);
  },
};

const TRAFFIC = [OPEN, REQUESTS, RATE, LAST];
/** Uses the first layout that fits, or else cuts the last one. Without ADDRESS, each address has its own line. */
const LAYOUTS: readonly (readonly Column[])[] = [
  [NAME, STATE, ADDRESS, TARGET, ...TRAFFIC],
  [NAME, STATE, ADDRESS, ...TRAFFIC],
  [NAME, STATE, ADDRESS, OPEN, REQUESTS, LAST],
  [NAME, STATE, TARGET, ...TRAFFIC],
  [NAME, STATE, ...TRAFFIC],
  [NAME, STATE, OPEN, REQUESTS, LAST],
  [NAME, STATE, OPEN],
  [NAME, STATE],
];
/** Its title, where it has its own line. */
const BELOW = `    ${ADDRESS.title}`;

function rateText({ unit, perSecond }: ServiceView['rate']): string {
  if (unit === 'bytes') return `${formatBytes(Math.round(perSecond))}/s`;
  const isWhole = perSecond === 0 || perSecond >= 10;
  return `${isWhole ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;
}

function serviceLines(services: readonly ServiceView[], screen: Screen, height: number): string[] {
  if (services.length === 0) return [screen.style.dim('no services')];
  const isSelecting = services.length > 1 && screen.hasKeys;
  const table = (columns: readonly Column[]): string[] => {
    const rows = services.map((service) => columns.map(({ cell }) => cell(service, screen)));
    const [title = '', ...lines] = aligned([columns.map((column) => column.title), ...rows]);
    const pointed = lines.map((line, index) =>
      isSelecting && index === screen.selected ? `› ${line}` : `  ${line}`,
    );
    return [screen.style.dim(`  ${title}`), ...pointed];
  };
  const fits = (lines: readonly string[]): boolean =>
    lines.every((line) => stringWidth(line) < screen.columns);
  const layout = LAYOUTS.find((columns) => fits(table(columns))) ?? LAYOUTS.at(-1)!;
  const [title, ...lines] = table(layout).map((line) => cut(line, screen));
  const isAddressBelow = !layout.includes(ADDRESS);
  const titles = [title!, ...(isAddressBelow ? [screen.style.dim(BELOW)] : [])];
  const blocks = services.map((service, index) => ({
    lines: [
      lines[index]!,
      ...service.addresses.slice(isAddressBelow ? 0 : 1).map((address) => addressLine(address, screen)),
    ],
    problems: service.problems.flatMap((problem) => below(problem, screen).map(paintOf(screen, service))),
  }));
  return [...titles, ...scrolled(services, blocks, screen, height - rowsOf(titles, narrowestOf(screen)))];
}

/** The lines of one service. */
interface Block {
  /** Its row, and addresses below it. */
  readonly lines: readonly string[];
  readonly problems: readonly string[];
}

/** An error, below what it is about. */
const below = (text: string, screen: Screen): string[] => wrapped(`    ${text}`, screen);

/** An address that is too long to indent begins at the left edge, so that a wrapped one still copies as one URL. */
function addressLine(address: string, { columns, style }: Screen): string {
  const indent = stringWidth(address) + 4 < columns ? '    ' : '';
  return indent + style.cyan(address);
}

/** As many services as fit, around the selected one, and the number of hidden ones. */
function scrolled(
  services: readonly ServiceView[],
  blocks: readonly Block[],
  screen: Screen,
  height: number,
): string[] {
  // Errors may be long, so there is no more room for them than they need now.
  const heights = blocks.map(
    ({ lines, problems }) => rowsOf(lines, narrowestOf(screen)) + rowsOf(problems, screen.columns),
  );
  const total = heights.reduce((sum, each) => sum + each, 0);
  const linesOf = (some: readonly Block[]): string[] =>
    some.flatMap(({ lines, problems }) => [...lines, ...problems]);
  if (total <= height) return linesOf(blocks);
  const selected = Math.min(screen.selected, blocks.length - 1);
  let [from, to, used] = [selected, selected + 1, heights[selected]!];
  // Reserve a line for the number of hidden services.
  const fits = (index: number): boolean => used + (heights[index] ?? Infinity) <= height - 1;
  while (from > 0 && fits(from - 1) && to - from < Math.ceil(height / 2)) used += heights[--from]!;
  while (to < blocks.length && fits(to)) used += heights[to++]!;
  while (from > 0 && fits(from - 1)) used += heights[--from]!;
  const folded = services.filter((_, index) => index < from || index >= to);
  if (folded.length === 0) return [...shortened(linesOf(blocks), height, screen)];
  const trouble = troubleOf(folded);
  const how = screen.hasKeys ? ' (↑↓)' : '';
  const more = cut(
    `  and ${folded.length} more${how}: ${trouble === '' ? 'all ready' : screen.style.yellow(trouble)}`,
    screen,
  );
  return [...shortened(linesOf(blocks.slice(from, to)), height - 1, screen), more];
}

/** The services that are not ready, by state. */
function troubleOf(services: readonly ServiceView[]): string {
  const names = new Map<State, string[]>();
  for (const { state, service } of services)
    if (state !== 'ready') names.set(state, [...(names.get(state) ?? []), service]);
  return [...names].map(([state, some]) => `${state}: ${some.join(', ')}`).join('; ');
}

/** Rows of the terminal that `lines` occupy. */
export function rowsOf(lines: readonly string[], columns: number): number {
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(stringWidth(line) / columns)), 0);
}

const msText = (ms: number | undefined): string => (ms === undefined ? '' : `  ${Math.round(ms)} ms`);

function relayLines(relays: readonly RelayView[], screen: Screen): string[] {
  const { yellow } = screen.style;
  if (relays.length <= MAX_RELAYS) return relays.flatMap((relay) => relayLine(relay, screen));
  const [up, down] = [true, false].map((isUp) =>
    relays.filter(({ state }) => (state === 'connected') === isUp),
  );
  const times = up!.flatMap(({ rttMs }) => (rttMs === undefined ? [] : [Math.round(rttMs)]));
  const span = times.length === 0 ? '' : ` (${Math.min(...times)}–${Math.max(...times)} ms)`;
  const lost = down!.length === 0 ? '' : `, ${yellow(`${down!.length} not: ${down![0]!.name}`)}`;
  const reasons = down!.filter(({ error }) => error !== undefined).slice(0, MAX_LOST);
  return [
    cut(`  ${up!.length} relays connected${span}${lost}`, screen),
    ...reasons.flatMap((relay) => relayLine(relay, screen)),
  ];
}

/** For a lost relay: the reason, and the time until the next attempt. */
function relayLine({ name, state, rttMs, error, nextTryS, isLeaving }: RelayView, screen: Screen): string[] {
  const { dim, yellow } = screen.style;
  const left = isLeaving ? ', no longer in portal.yaml' : '';
  if (state === 'connected') {
    const parts = [`relay ${name}`, `${state}${left}${msText(rttMs)}`];
    return filled(parts, screen.columns - 3, '  ').map((line) => dim(`  ${line}`));
  }
  const next = nextTryS === undefined ? '' : `, next try in ${nextTryS} s`;
  const why = error === undefined ? [] : below(error, screen).map(yellow);
  return [...wrapped(`  relay ${name}  ${state}${left}${next}`, screen).map(yellow), ...why];
}

function requestLines(requests: readonly RequestView[], screen: Screen, count: number): string[] {
  if (requests.length === 0 || count < 1) return [];
  const { dim, red } = screen.style;
  return requests.slice(-count).map(({ time, service, what, status, ms }) => {
    const shown = /^[2-4]/.test(status) ? status : red(status);
    return cut(
      `  ${dim(time.toLocaleTimeString('en-GB'))}  ${service}  ${shown}  ${what}${dim(msText(ms))}`,
      screen,
    );
  });
}

/** Cells padded to the width of their column. Colours have no width. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, index) => Math.max(...rows.map((row) => stringWidth(row[index]!))));
  return rows.map((row) =>
    row
      .map((cell, index) => cell + ' '.repeat(widths[index]! - stringWidth(cell)))
      .join('  ')
      .trimEnd(),
  );
}
