import { idText } from '../../src/agent/inspect/history/ids.js';
import type { MessageInfo, RequestDetails } from '../../src/agent/inspect/wire.js';
import { bytesText, msText } from './format.js';

const OUTCOMES = {
  open: 'in progress',
  switched: 'the connection switched protocols, and is open',
  done: 'complete',
  broken: 'incomplete: the visitor disconnected, or the response ended early',
} as const;

interface Props {
  readonly details: RequestDetails;
  readonly onShow: (id: number) => void;
}

export function Overview({ details, onShow }: Props) {
  const { replayOf, deliveryOf, request, response } = details;
  const rows: [string, string | undefined][] = [
    ['Request', details.earlier ? `${idText(details.id)}, from an earlier run` : idText(details.id)],
    ['URL', `https://${details.authority}${details.target}`],
    ['Service', details.service],
    ['Visitor', details.remote],
    ['HTTP', details.version],
    ['Time', new Date(details.startedAt).toLocaleString()],
    ['Outcome', OUTCOMES[details.outcome]],
    ['Request body', sizeText(request)],
    ['Response', details.status === undefined ? 'none yet' : `${details.status} ${details.reason ?? ''}`],
    ['Response body', sizeText(response)],
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
            <dt>Replay of</dt>
            <dd>
              <button type="button" class="plain" onClick={() => onShow(replayOf)}>
                request {idText(replayOf)}
              </button>
            </dd>
          </div>
        )}
        {deliveryOf !== undefined && (
          <div>
            <dt>Delivers</dt>
            <dd>
              <button type="button" class="plain" onClick={() => onShow(deliveryOf)}>
                held request {idText(deliveryOf)}
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

/** The width of each part is its share of the total time. */
function Timing({ details: { requestMs, firstByteMs, totalMs } }: { details: RequestDetails }) {
  const whole = totalMs ?? firstByteMs;
  if (whole === undefined || firstByteMs === undefined) return null;
  const sent = Math.min(requestMs ?? 0, firstByteMs);
  const parts = [
    ['Request body', 'sent', 0, sent],
    ['Waiting', 'waiting', sent, firstByteMs],
    ['Response', 'response', firstByteMs, whole],
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
          <span class="label">Total</span>
          <span class="track" aria-hidden="true" />
          <span class="took">{msText(totalMs)}</span>
        </li>
      </ul>
    </>
  );
}
