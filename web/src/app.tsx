import { useEffect, useMemo, useState } from 'preact/hooks';
import type { RequestRow } from '../../src/agent/inspect/wire.js';
import { agent } from './connection.js';
import { Details } from './details.js';
import { folded } from './fold.js';
import { Help, useKeys } from './keys.js';
import { filtered, NO_FILTER, type Filter } from './filter.js';
import { Filters } from './filters.js';
import { RequestList } from './list.js';
import { model, useModel, type Snapshot } from './model.js';
import { Services } from './services.js';

const LINKS: Readonly<Record<Snapshot['link'], string>> = {
  connecting: 'connecting…',
  live: 'live',
  lost: 'the agent does not respond; retrying',
  refused: 'not allowed',
};

export function App() {
  const snapshot = useModel();
  const [filter, setFilter] = useState<Filter>(NO_FILTER);
  const [selected, setSelected] = useState<number | undefined>(undefined);
  const [marked, setMarked] = useState<number | undefined>(undefined);
  useEffect(() => model.start(), []);
  const rows = useMemo(() => filtered(snapshot.rows, filter), [snapshot.rows, filter]);
  const shown = useMemo(() => folded(rows), [rows]);
  const row = shown.find(({ id }) => id === selected) ?? snapshot.rows.find(({ id }) => id === selected);
  // In a narrow window there is either the list or one request.
  const [isOpen, setOpen] = useState(false);
  const open = (id: number): void => {
    setSelected(id);
    setOpen(true);
  };
  const back = (): void => {
    setOpen(false);
    focusOn('.list');
  };
  const step = (by: number): void => {
    const at = shown.findIndex(({ id }) => id === selected);
    const next = shown[at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by))];
    if (next) setSelected(next.id);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    Enter: () => {
      if (!row) return step(0);
      setOpen(true);
      focusOn('#panel');
    },
    Escape: back,
    '/': () => {
      setOpen(false);
      focusOn('.filters input');
    },
  });

  if (snapshot.link === 'refused') return <Refused />;
  return (
    <div class={isOpen ? 'page open' : 'page'}>
      <header class="top">
        <h1>Portal inspector</h1>
        <p class={`link ${snapshot.link}`} role="status">
          {LINKS[snapshot.link]}
        </p>
        <Help />
      </header>
      <Services state={snapshot.state} />
      <main class="columns">
        <section class="requests" aria-label="Requests">
          <Filters filter={filter} rows={snapshot.rows} onChange={setFilter}>
            <Counts snapshot={snapshot} shown={rows.length} />
            <button type="button" disabled={rows.length === 0} onClick={() => void saveHar(rows)}>
              Export HAR
            </button>
            <Clear />
          </Filters>
          <RequestList rows={shown} selected={selected} onSelect={setSelected} onOpen={open} />
          {snapshot.hasEarlier && (
            <p class="more">
              <button type="button" onClick={() => void model.showEarlier().catch(() => undefined)}>
                Show earlier requests
              </button>
            </p>
          )}
          {snapshot.rows.length === 0 && (
            <p class="empty">
              {snapshot.link === 'live'
                ? 'No request yet. Open the address of a service.'
                : 'Waiting for the agent.'}
            </p>
          )}
        </section>
        <section class="details" aria-label="Details of the request">
          {row ? (
            <Details
              key={row.id}
              row={row}
              marked={marked}
              onMark={setMarked}
              onShow={setSelected}
              onBack={back}
            />
          ) : (
            <p class="empty">
              {selected === undefined ? 'Select a request.' : 'Portal no longer keeps this request.'}
            </p>
          )}
        </section>
      </main>
    </div>
  );
}

/** Immediately, or once a narrow page shows the element. */
function focusOn(selector: string): void {
  const element = document.querySelector<HTMLElement>(selector);
  element?.focus();
  if (element === null || document.activeElement !== element)
    setTimeout(() => document.querySelector<HTMLElement>(selector)?.focus(), 32);
}

/** Asks for confirmation, because deleted requests cannot be restored. */
function Clear() {
  const [isAsking, setAsking] = useState(false);
  const clear = (): void => {
    setAsking(!isAsking);
    if (isAsking) void agent.clear().catch(() => undefined);
  };
  return (
    <button
      type="button"
      class={isAsking ? 'sure' : undefined}
      title="Delete these requests, and those of earlier runs of this portal.yaml"
      onClick={clear}
      onBlur={() => setAsking(false)}
    >
      {isAsking ? 'Delete all, earlier runs too' : 'Clear'}
    </button>
  );
}

/** Exports the filtered requests for other tools, with secrets masked. */
async function saveHar(rows: readonly RequestRow[]): Promise<void> {
  const url = URL.createObjectURL(await agent.har(rows.map(({ id }) => id).toReversed()));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'portal.har';
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function Counts({ snapshot: { rows, dropped, state }, shown }: { snapshot: Snapshot; shown: number }) {
  const lost = state?.history?.lost ?? 0;
  return (
    <span class="counts" role="status">
      {shown === rows.length ? '' : `${shown} of `}
      {rows.length} {rows.length === 1 ? 'request' : 'requests'}
      {dropped > 0 && <strong> · {dropped} not recorded: too many at once</strong>}
      {lost > 0 && <strong> · {lost} not saved for later runs</strong>}
    </span>
  );
}

function Refused() {
  return (
    <main class="refused">
      <h1>Portal inspector</h1>
      <p>
        This page belongs to another run of the agent. Open the address that <code>portal up</code> printed,
        or that <code>portal status</code> shows.
      </p>
    </main>
  );
}
