import type { RequestDetails } from '../../src/agent/inspect/wire.js';
import { asFetch, asHttpie } from '../../src/agent/inspect/copies.js';
import { asCurl } from '../../src/agent/inspect/curl.js';
import { agent } from './connection.js';
import { useKeys } from './keys.js';

interface Props {
  readonly id: number;
  readonly details: RequestDetails | undefined;
  readonly isEditing: boolean;
  readonly isMarked: boolean;
  readonly isRevealed: boolean;
  readonly note: string;
  readonly onEdit: () => void;
  readonly onMark: () => void;
  readonly onReplay: () => void;
  readonly onReveal: () => void;
  readonly tell: (job: Promise<string>) => void;
}

const COPIES = [
  ['curl', asCurl],
  ['fetch', asFetch],
  ['HTTPie', asHttpie],
] as const;

/** The actions for one request. */
export function Actions(props: Props) {
  const { id, details, isEditing, isMarked, isRevealed, note, onReplay, tell } = props;
  const copy = async (as: (typeof COPIES)[number][1]): Promise<string> => {
    const { bytes } = await agent.body(id, 'request', 'raw');
    await navigator.clipboard.writeText(as(details!, bytes));
    return details!.request.headers.some(({ masked }) => masked)
      ? 'copied, with its secrets masked'
      : 'copied';
  };
  const canReplay = details !== undefined && details.noReplay === undefined;
  // A truncated request can be replayed with another body.
  const isEditable = details && (canReplay || details.request.body.cut !== undefined);
  useKeys({ r: () => canReplay && onReplay() });

  return (
    <div class="actions">
      <button type="button" disabled={!canReplay} title={details?.noReplay} onClick={onReplay}>
        Replay
      </button>
      <button
        type="button"
        disabled={!isEditable}
        title={isEditable ? undefined : details?.noReplay}
        aria-pressed={isEditing}
        onClick={props.onEdit}
      >
        Edit and replay
      </button>
      <span class="group" role="group" aria-label="Copy the request">
        {COPIES.map(([name, as]) => (
          <button
            key={name}
            type="button"
            disabled={!details}
            aria-label={`Copy as ${name}`}
            onClick={() => tell(copy(as))}
          >
            {name === 'curl' ? 'Copy as curl' : name}
          </button>
        ))}
      </span>
      <button
        type="button"
        aria-pressed={isMarked}
        title="Then choose another request"
        onClick={props.onMark}
      >
        {isMarked ? 'Compare with…' : 'Compare'}
      </button>
      <button type="button" aria-pressed={isRevealed} onClick={props.onReveal}>
        {isRevealed ? 'Hide secrets' : 'Reveal secrets'}
      </button>
      <span role="status" class="note">
        {note}
      </span>
    </div>
  );
}
