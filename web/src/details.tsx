import { useEffect, useState } from 'preact/hooks';
import { idText } from '../../src/agent/inspect/history/ids.js';
import type { MessageInfo, ReplayEdits, RequestDetails, RequestRow } from '../../src/agent/inspect/wire.js';
import { Body } from './body.js';
import { agent } from './connection.js';
import { Comparison } from './comparison.js';
import { asCurl } from '../../src/agent/inspect/curl.js';
import { Editor } from './editor.js';
import { Fields } from './fields.js';
import { bytesText, msText, pairsOf } from './format.js';
import { Status } from './list.js';
import { Messages } from './messages.js';

interface Props {
  readonly row: RequestRow;
  /** The request that others are compared with. */
  readonly marked: number | undefined;
  readonly onMark: (id: number | undefined) => void;
  readonly onShow: (id: number) => void;
}

type Tab = 'Overview' | 'Request' | 'Response' | 'Messages' | 'Compare';
const TABS: readonly Tab[] = ['Overview', 'Request', 'Response'];

export function Details({ row, marked, onMark, onShow }: Props) {
  const [revealed, setRevealed] = useState(false);
  const [details, setDetails] = useState<RequestDetails | undefined>(undefined);
  const isCompared = marked !== undefined && marked !== row.id;
  const tabs: Tab[] = [
    ...TABS,
    ...(details?.hasMessages ? (['Messages'] as const) : []),
    ...(isCompared ? (['Compare'] as const) : []),
  ];
  const [chosen, setTab] = useState<Tab>(isCompared ? 'Compare' : 'Overview');
  const tab = tabs.includes(chosen) ? chosen : 'Overview';
  const [isEditing, setEditing] = useState(false);
  const [note, setNote] = useState('');
  const { id, outcome, status } = row;
  // What is under way is asked for again when it has moved on.
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
  const copy = async (): Promise<string> => {
    const { bytes } = await agent.body(id, 'request', 'raw');
    await navigator.clipboard.writeText(asCurl(details!, bytes));
    const isMasked = details!.request.headers.some(({ masked }) => masked);
    return isMasked ? 'copied, with its secrets masked' : 'copied';
  };
  const replay = async (edits: ReplayEdits = {}): Promise<string> => {
    onShow(await agent.replay(id, edits));
    return '';
  };
  // What was cut can be replayed with another body.
  const isEditable = details && (details.noReplay === undefined || details.request.body.cut !== undefined);

  return (
    <>
      <h2>
        <span class="method">{row.method}</span> <Status row={row} /> <span class="path">{row.target}</span>
      </h2>
      <div class="actions">
        <button type="button" disabled={!details} onClick={() => tell(copy())}>
          Copy as curl
        </button>
        <button
          type="button"
          disabled={!details || details.noReplay !== undefined}
          title={details?.noReplay}
          onClick={() => tell(replay())}
        >
          Replay
        </button>
        <button
          type="button"
          disabled={!isEditable}
          title={isEditable ? undefined : details?.noReplay}
          aria-pressed={isEditing}
          onClick={() => setEditing(!isEditing)}
        >
          Edit and replay
        </button>
        <button
          type="button"
          aria-pressed={marked === id}
          title="Then choose another request"
          onClick={() => onMark(marked === id ? undefined : id)}
        >
          {marked === id ? 'Compare with…' : 'Compare'}
        </button>
        <button type="button" aria-pressed={revealed} onClick={() => setRevealed(!revealed)}>
          {revealed ? 'Hide secrets' : 'Reveal secrets'}
        </button>
        <span role="status" class="note">
          {note}
        </span>
      </div>
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
          {tab === 'Overview' && <Overview details={details} onShow={onShow} />}
          {tab === 'Request' && <Message id={id} of="request" info={details.request} target={row.target} />}
          {tab === 'Response' && <Message id={id} of="response" info={details.response} />}
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
          aria-controls="panel"
          tabIndex={each === tab ? 0 : -1}
          onClick={() => onTab(each)}
        >
          {each}
        </button>
      ))}
    </div>
  );
}

const OUTCOMES = {
  open: 'under way',
  switched: 'its connection speaks another protocol now, and is open',
  done: 'complete',
  broken: 'broken off: the visitor left, or the answer ended early',
} as const;

function Overview({ details, onShow }: { details: RequestDetails; onShow: (id: number) => void }) {
  const { replayOf, request, response } = details;
  const rows: [string, string | undefined][] = [
    ['Request', details.earlier ? `${idText(details.id)}, out of the history` : idText(details.id)],
    ['URL', `https://${details.authority}${details.target}`],
    ['Service', details.service],
    ['Visitor', details.remote],
    ['HTTP', details.version],
    ['At', new Date(details.startedAt).toLocaleString()],
    ['Outcome', OUTCOMES[details.outcome]],
    ['Request body', sizeText(request)],
    ['Answer', details.status === undefined ? 'none yet' : `${details.status} ${details.reason ?? ''}`],
    ['Answer body', sizeText(response)],
  ];
  return (
    <>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        {replayOf !== undefined && (
          <div>
            <dt>Repeats</dt>
            <dd>
              <button type="button" class="plain" onClick={() => onShow(replayOf)}>
                request {idText(replayOf)}
              </button>
            </dd>
          </div>
        )}
      </dl>
      <Timing details={details} />
    </>
  );
}

function sizeText({ body: { bytes, encoding } }: MessageInfo): string {
  return encoding === undefined ? bytesText(bytes) : `${bytesText(bytes)}, ${encoding}`;
}

/** Each part as long as it took, of the whole. */
function Timing({ details: { requestMs, firstByteMs, totalMs } }: { details: RequestDetails }) {
  const whole = totalMs ?? firstByteMs;
  if (whole === undefined || firstByteMs === undefined) return null;
  const sent = Math.min(requestMs ?? 0, firstByteMs);
  const parts = [
    ['Request body', 'sent', 0, sent],
    ['Waiting', 'waiting', sent, firstByteMs],
    ['Answer', 'answer', firstByteMs, whole],
  ] as const;
  const percent = (ms: number): string => `${whole === 0 ? 0 : (100 * ms) / whole}%`;
  return (
    <>
      <h3>Timing</h3>
      <ul class="timing">
        {parts.map(([name, kind, from, to]) => (
          <li key={kind}>
            <span class="label">{name}</span>
            <span class="track" aria-hidden="true">
              <span class={`bar ${kind}`} style={{ left: percent(from), width: percent(to - from) }} />
            </span>
            <span class="took">{msText(to - from)}</span>
          </li>
        ))}
        <li>
          <span class="label">All of it</span>
          <span class="track" aria-hidden="true" />
          <span class="took">{msText(totalMs)}</span>
        </li>
      </ul>
    </>
  );
}

interface MessageProps {
  readonly id: number;
  readonly of: 'request' | 'response';
  readonly info: MessageInfo;
  readonly target?: string;
}

function Message({ id, of, info, target }: MessageProps) {
  const query = target?.includes('?') ? pairsOf(target.slice(target.indexOf('?') + 1)) : [];
  return (
    <>
      {query.length > 0 && <Fields title="Query" fields={query.map(([name, value]) => ({ name, value }))} />}
      <Fields title="Headers" fields={info.headers} />
      {info.trailers.length > 0 && <Fields title="Trailers" fields={info.trailers} />}
      <h3>Body</h3>
      <Body id={id} of={of} info={info.body} />
    </>
  );
}
