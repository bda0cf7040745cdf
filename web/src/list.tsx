import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { idText } from '../../src/agent/inspect/history/ids.js';
import { isRejected, type ListRow } from './fold.js';
import { bytesText, earlierText, msText, timeText } from './format.js';

/** Heights of a row, as in the style sheet. In a narrow window a row has two lines, and space for touch. */
const ROW_PX = 30;
const NARROW_ROW_PX = 52;
const NARROW = matchMedia('(max-width: 40rem)');
/** Rows to render beyond the visible ones, in both directions. */
const MORE = 10;

interface Props {
  /** Newest first. */
  readonly rows: readonly ListRow[];
  readonly selected: number | undefined;
  readonly onSelect: (id: number) => void;
  /** Also shows the request if the window is too narrow for both. */
  readonly onOpen: (id: number) => void;
}

/** Renders only visible rows, however many there are. */
export function RequestList({ rows, selected, onSelect, onOpen }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const rowPx = useRowPx();
  const [view, setView] = useState({ top: 0, height: 600 });
  const look = (): void => {
    const { scrollTop, clientHeight } = box.current!;
    setView({ top: scrollTop, height: clientHeight });
  };
  useEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useSteady(box, rows, rowPx);
  useShown(box, rows, selected, rowPx);

  const first = Math.max(0, Math.floor(view.top / rowPx) - MORE);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / rowPx) + MORE);
  const at = rows.findIndex(({ id }) => id === selected);

  const choose = (index: number): void => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (next) onSelect(next.id);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(view.height / rowPx) - 2);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? 0 : at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    };
    const index = steps[event.key];
    if (index === undefined) return;
    event.preventDefault();
    choose(index);
  };

  return (
    <div
      class="list"
      ref={box}
      role="grid"
      aria-label="Requests, newest first"
      aria-rowcount={rows.length + 1}
      style={{ '--row': `${rowPx}px` }}
      tabIndex={0}
      aria-activedescendant={at >= first && at < last ? `request-${selected}` : undefined}
      onScroll={look}
      onKeyDown={onKeyDown}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        {['Time', 'Method', 'Status', 'Path', 'Took', 'Size', 'Service'].map((name) => (
          <span key={name} role="columnheader" class={name.toLowerCase()}>
            {name}
          </span>
        ))}
      </div>
      <div class="rows" role="rowgroup">
        <div style={{ height: `${rows.length * rowPx}px` }} role="presentation">
          <div style={{ transform: `translateY(${first * rowPx}px)` }} role="presentation">
            {rows.slice(first, last).map((row, index) => (
              <Row
                key={row.id}
                row={row}
                index={first + index + 2}
                isSelected={row.id === selected}
                onOpen={onOpen}
              />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

function tagOf(row: ListRow): string {
  if (row.portal?.gate !== undefined) return `gate: ${row.portal.gate}`;
  if (row.portal?.code === 'held') return 'held';
  return isRejected(row) ? 'rejected' : 'Portal';
}

interface RowProps {
  readonly row: ListRow;
  readonly index: number;
  readonly isSelected: boolean;
  readonly onOpen: (id: number) => void;
}

function Row({ row, index, isSelected, onOpen }: RowProps) {
  return (
    <div
      class={['row', isSelected && 'selected', row.earlier && 'earlier'].filter(Boolean).join(' ')}
      role="row"
      id={`request-${row.id}`}
      aria-rowindex={index}
      aria-selected={isSelected}
      onClick={() => onOpen(row.id)}
    >
      <span role="gridcell" class="time">
        {row.earlier ? (
          <span title={`from an earlier run: ${new Date(row.startedAt).toLocaleString()}`}>
            ↶ {earlierText(row.startedAt, Date.now())}
          </span>
        ) : (
          timeText(row.startedAt)
        )}
      </span>
      <span role="gridcell" class="method">
        {row.method}
      </span>
      <span role="gridcell" class="status">
        <Status row={row} />
      </span>
      <span role="gridcell" class="path" title={row.target}>
        {row.replayOf !== undefined && <span title={`replay of request ${idText(row.replayOf)}`}>↻ </span>}
        {row.deliveryOf !== undefined && (
          <span title={`delivers the held request ${idText(row.deliveryOf)}`}>⇥ </span>
        )}
        {row.portal && (
          <span class="tag" title={`Portal responded: ${row.portal.title}`}>
            {tagOf(row)}
          </span>
        )}
        {row.reloads !== undefined && (
          <span class="tag" title={`The page has reloaded ${row.reloads} times`}>
            ×{row.reloads + 1}
          </span>
        )}
        {row.target}
      </span>
      <span role="gridcell" class="took">
        {msText(row.totalMs)}
      </span>
      <span role="gridcell" class="size">
        {bytesText(row.responseBytes)}
      </span>
      <span role="gridcell" class="service">
        {row.service}
      </span>
    </div>
  );
}

/** Shows the state in text, not only by colour. */
export function Status({ row: { status, outcome } }: { row: Pick<ListRow, 'status' | 'outcome'> }) {
  const kind = outcome === 'broken' ? 'broken' : status === undefined ? 'open' : `s${String(status)[0]}`;
  const words = { open: '…', switched: 'open', broken: 'cut off', done: '' }[outcome];
  return (
    <span class={`badge ${kind}`}>
      {[status, words].filter((part) => part !== undefined && part !== '').join(' ')}
    </span>
  );
}

/** The heading stays on top of the rows; a narrow window has none. */
const headPx = (rowPx: number): number => (rowPx === ROW_PX ? ROW_PX : 0);

function useRowPx(): number {
  const [isNarrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const change = (): void => setNarrow(NARROW.matches);
    NARROW.addEventListener('change', change);
    return () => NARROW.removeEventListener('change', change);
  }, []);
  return isNarrow ? NARROW_ROW_PX : ROW_PX;
}

/** Scrolls to a newly selected request. */
function useShown(
  box: { current: HTMLDivElement | null },
  rows: readonly ListRow[],
  selected: number | undefined,
  rowPx: number,
): void {
  useLayoutEffect(() => {
    const index = rows.findIndex(({ id }) => id === selected);
    const element = box.current!;
    if (index < 0) return;
    const top = index * rowPx;
    const bottom = headPx(rowPx) + top + rowPx - element.clientHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop) element.scrollTop = bottom;
  }, [selected]);
}

/** Keeps the visible rows in place when new rows appear above them. */
function useSteady(box: { current: HTMLDivElement | null }, rows: readonly ListRow[], rowPx: number): void {
  const newest = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    const before = newest.current;
    newest.current = rows[0]?.id;
    const element = box.current!;
    if (before === undefined || element.scrollTop === 0) return;
    const added = rows.findIndex(({ id }) => id <= before);
    if (added > 0) element.scrollTop += added * rowPx;
  }, [rows]);
}
