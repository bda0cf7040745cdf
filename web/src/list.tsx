import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { idText } from '../../src/agent/inspect/history/ids.js';
import type { RequestRow } from '../../src/agent/inspect/wire.js';
import { bytesText, earlierText, msText, timeText } from './format.js';

/** As the style sheet has it. */
const ROW_PX = 30;
/** Rows beyond what is seen, either way. */
const MORE = 10;

interface Props {
  /** Newest first. */
  readonly rows: readonly RequestRow[];
  readonly selected: number | undefined;
  readonly onSelect: (id: number) => void;
}

/** However many rows there are, only those that are seen are there. */
export function RequestList({ rows, selected, onSelect }: Props) {
  const box = useRef<HTMLDivElement>(null);
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
  useSteady(box, rows);

  const first = Math.max(0, Math.floor(view.top / ROW_PX) - MORE);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_PX) + MORE);
  const at = rows.findIndex(({ id }) => id === selected);

  const choose = (index: number): void => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!next) return;
    onSelect(next.id);
    reveal(box.current!, rows.indexOf(next));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(view.height / ROW_PX) - 1);
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
    <div class="list" role="grid" aria-label="Requests, newest first" aria-rowcount={rows.length + 1}>
      <div class="row head" role="row" aria-rowindex={1}>
        {['Time', 'Method', 'Status', 'Path', 'Took', 'Size', 'Service'].map((name) => (
          <span key={name} role="columnheader" class={name.toLowerCase()}>
            {name}
          </span>
        ))}
      </div>
      <div
        class="rows"
        role="rowgroup"
        ref={box}
        tabIndex={0}
        aria-activedescendant={at >= first && at < last ? `request-${selected}` : undefined}
        onScroll={look}
        onKeyDown={onKeyDown}
      >
        <div style={{ height: `${rows.length * ROW_PX}px` }} role="presentation">
          <div style={{ transform: `translateY(${first * ROW_PX}px)` }} role="presentation">
            {rows.slice(first, last).map((row, index) => (
              <Row
                key={row.id}
                row={row}
                index={first + index + 2}
                isSelected={row.id === selected}
                onSelect={onSelect}
              />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

interface RowProps {
  readonly row: RequestRow;
  readonly index: number;
  readonly isSelected: boolean;
  readonly onSelect: (id: number) => void;
}

function Row({ row, index, isSelected, onSelect }: RowProps) {
  return (
    <div
      class={['row', isSelected && 'selected', row.earlier && 'earlier'].filter(Boolean).join(' ')}
      role="row"
      id={`request-${row.id}`}
      aria-rowindex={index}
      aria-selected={isSelected}
      onClick={() => onSelect(row.id)}
    >
      <span role="gridcell" class="time">
        {row.earlier ? (
          <span title={`out of the history: ${new Date(row.startedAt).toLocaleString()}`}>
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
        {row.replayOf !== undefined && <span title={`repeats request ${idText(row.replayOf)}`}>↻ </span>}
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

/** Never by colour alone. */
export function Status({ row: { status, outcome } }: { row: RequestRow }) {
  const kind = outcome === 'broken' ? 'broken' : status === undefined ? 'open' : `s${String(status)[0]}`;
  const words = { open: '…', switched: 'open', broken: 'broken', done: '' }[outcome];
  return (
    <span class={`badge ${kind}`}>
      {[status, words].filter((part) => part !== undefined && part !== '').join(' ')}
    </span>
  );
}

function reveal(box: HTMLElement, index: number): void {
  const top = index * ROW_PX;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW_PX > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW_PX - box.clientHeight;
}

/** What is being read stays where it is while new rows come above it. */
function useSteady(box: { current: HTMLDivElement | null }, rows: readonly RequestRow[]): void {
  const newest = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    const before = newest.current;
    newest.current = rows[0]?.id;
    const element = box.current!;
    if (before === undefined || element.scrollTop === 0) return;
    const added = rows.findIndex(({ id }) => id <= before);
    if (added > 0) element.scrollTop += added * ROW_PX;
  }, [rows]);
}
