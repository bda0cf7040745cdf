import { useEffect, useState } from 'preact/hooks';
import type { WsMessage, WsMessages } from '../../src/agent/inspect/wire.js';
import { agent } from './connection.js';
import { textOf } from '../../src/agent/inspect/text.js';
import { bytesText, hexDump, prettyJson, timeText } from './format.js';

const MAX_HEX_BYTES = 1_024;
const ARROWS = { visitor: '→', service: '←' } as const;

/** The messages of a WebSocket, newest first. */
export function Messages({ id, moved }: { id: number; moved: string }) {
  const [got, setGot] = useState<WsMessages | undefined>(undefined);
  useEffect(() => {
    let isCurrent = true;
    agent.messages(id).then(
      (all) => isCurrent && setGot(all),
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [id, moved]);
  if (!got) return null;
  if (got.messages.length === 0) return <p class="quiet">no message yet</p>;
  return (
    <>
      <ol class="messages" aria-label="Messages, latest first" reversed>
        {got.messages.toReversed().map((message, index) => (
          <li key={got.dropped + got.messages.length - index}>
            <span class="quiet">
              <span aria-hidden="true">{ARROWS[message.from]}</span> {message.from}, {timeText(message.at)},{' '}
              {message.kind}, {bytesText(message.bytes)}
              {message.compressed && ' compressed'}
              {message.cut && `, the first ${bytesText(message.keptBytes)} kept`}
            </span>
            <pre>{contentOf(message)}</pre>
          </li>
        ))}
      </ol>
      {got.dropped > 0 && <p class="cut">Portal no longer keeps {got.dropped} earlier messages.</p>}
    </>
  );
}

function contentOf({ kind, compressed, body }: WsMessage): string {
  const bytes = Uint8Array.from(atob(body), (char) => char.charCodeAt(0));
  const text = kind === 'binary' || compressed === 'compressed' ? undefined : textOf(bytes);
  return text === undefined ? hexDump(bytes, MAX_HEX_BYTES) : (prettyJson(text) ?? text);
}
