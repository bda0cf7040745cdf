import { useEffect, useState } from 'preact/hooks';
import type { MessageInfo, ReplayEdits, RequestDetails } from '../../src/agent/inspect/wire.js';
import { Actions } from './actions.js';
import { Body } from './body.js';
import { agent } from './connection.js';
import { Comparison } from './comparison.js';
import { Editor } from './editor.js';
import { Fields } from './fields.js';
import type { ListRow } from './fold.js';
import { bytesText, mediaOf, pairsOf, timeText } from './format.js';
import { Status } from './list.js';
import { Messages } from './messages.js';
import { Overview } from './overview.js';

interface Props {
  readonly row: ListRow;
  /** The request to compare others with. */
  readonly marked: number | undefined;
  readonly onMark: (id: number | undefined) => void;
  readonly onShow: (id: number) => void;
  /** Returns to the list, if the window is too narrow for both. */
  readonly onBack: () => void;
}

type Tab = 'Bodies' | 'Headers' | 'Overview' | 'Messages' | 'Compare';

export function Details({ row, marked, onMark, onShow, onBack }: Props) {
  const [revealed, setRevealed] = useState(false);
  const [details, setDetails] = useState<RequestDetails | undefined>(undefined);
  const isCompared = marked !== undefined && marked !== row.id;
  const tabs: Tab[] = [
    ...(details?.hasMessages ? (['Messages'] as const) : []),
    'Bodies',
    'Headers',
    'Overview',
    ...(isCompared ? (['Compare'] as const) : []),
  ];
  const [chosen, setTab] = useState<Tab | undefined>(isCompared ? 'Compare' : undefined);
  const tab = chosen && tabs.includes(chosen) ? chosen : tabs[0]!;
  const [isEditing, setEditing] = useState(false);
  const [note, setNote] = useState('');
  const { id, outcome, status } = row;
  // Fetches an unfinished request again when its state changes.
  const moved = `${outcome} ${status ?? ''} ${outcome === 'done' ? '' : row.responseBytes + row.requestBytes}`;
  useEffect(() => {
    let isCurrent = true;
    agent.details(id, revealed).then(
      (got) => isCurrent && setDetails(got),
      (error: Error) => isCurrent && setNote(error.message),
    );
    return () => {
      isCurrent = false;
    };
  }, [id, revealed, moved]);

  const tell = (job: Promise<string>): void => {
    job.then(setNote, (error: Error) => setNote(error.message));
  };
  const replay = async (edits: ReplayEdits = {}): Promise<string> => {
    onShow(await agent.replay(id, edits));
    return '';
  };

  return (
    <>
      <header class="what">
        <button type="button" class="back" onClick={onBack}>
          ← Requests
        </button>
        <h2>
          <span class="method">{row.method}</span> <Status row={row} /> <span class="path">{row.target}</span>
        </h2>
        {row.portal && (
          <p class="portal">
            Portal responded, not {row.service}: {row.portal.title}.
            {row.portal.gate !== undefined && ` The gate is ${row.portal.gate}.`}
            {row.reloads !== undefined &&
              ` The page has reloaded ${row.reloads === 1 ? 'once' : `${row.reloads} times`}, last at ${timeText(row.reloadedAt!)}.`}
          </p>
        )}
      </header>
      <Actions
        id={id}
        details={details}
        isEditing={isEditing}
        isMarked={marked === id}
        isRevealed={revealed}
        note={note}
        onEdit={() => setEditing(!isEditing)}
        onMark={() => onMark(marked === id ? undefined : id)}
        onReplay={() => tell(replay())}
        onReveal={() => setRevealed(!revealed)}
        tell={tell}
      />
      {details && isEditing && (
        <div class="panel">
          <Editor
            details={details}
            onSend={(edits) => tell(replay(edits))}
            onCancel={() => setEditing(false)}
          />
        </div>
      )}
      {!isEditing && <Tabs tab={tab} tabs={tabs} onTab={setTab} />}
      {details && !isEditing && (
        <div class="panel" role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
          {tab === 'Bodies' && <Bodies details={details} />}
          {tab === 'Headers' && <Headers details={details} />}
          {tab === 'Overview' && <Overview details={details} onShow={onShow} />}
          {tab === 'Messages' && <Messages id={id} moved={moved} />}
          {tab === 'Compare' && isCompared && <Comparison before={marked} after={id} />}
        </div>
      )}
    </>
  );
}

interface TabsProps {
  readonly tab: Tab;
  readonly tabs: readonly Tab[];
  readonly onTab: (tab: Tab) => void;
}

function Tabs({ tab, tabs, onTab }: TabsProps) {
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length]!;
    onTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Parts of the request" onKeyDown={onKeyDown}>
      {tabs.map((each) => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`tab-${each}`}
          aria-selected={each === tab}
          aria-controls={each === tab ? 'panel' : undefined}
          tabIndex={each === tab ? 0 : -1}
          onClick={() => onTab(each)}
        >
          {each}
        </button>
      ))}
    </div>
  );
}

function Bodies({ details: { id, request, response, status } }: { details: RequestDetails }) {
  return (
    <>
      <section aria-label="Request body">
        <h3>
          Request body <Kind info={request} />
        </h3>
        {request.body.bytes > 0 ? (
          <Body id={id} of="request" info={request.body} />
        ) : (
          <p class="quiet">no body</p>
        )}
      </section>
      <section aria-label="Response body">
        <h3>
          Response body <Kind info={response} />
        </h3>
        {status === undefined ? (
          <p class="quiet">no response yet</p>
        ) : (
          <Body id={id} of="response" info={response.body} />
        )}
      </section>
    </>
  );
}

function Kind({ info: { body } }: { info: MessageInfo }) {
  if (body.bytes === 0) return null;
  return <span class="quiet">{[mediaOf(body.type), bytesText(body.bytes)].filter(Boolean).join(', ')}</span>;
}

function Headers({ details: { target, request, response } }: { details: RequestDetails }) {
  const query = target.includes('?') ? pairsOf(target.slice(target.indexOf('?') + 1)) : [];
  return (
    <>
      {query.length > 0 && <Fields title="Query" fields={query.map(([name, value]) => ({ name, value }))} />}
      <Fields title="Request headers" fields={request.headers} />
      {request.trailers.length > 0 && <Fields title="Request trailers" fields={request.trailers} />}
      <Fields title="Response headers" fields={response.headers} />
      {response.trailers.length > 0 && <Fields title="Response trailers" fields={response.trailers} />}
    </>
  );
}
