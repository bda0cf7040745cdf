import { useEffect, useState } from 'preact/hooks';
import type { Field, ReplayEdits, RequestDetails } from '../../src/agent/inspect/wire.js';
import { agent } from './connection.js';
import { base64, textOf } from '../../src/agent/inspect/text.js';

/** Computed again when the request is sent. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'trailer', 'expect']);

interface EditedField extends Field {
  readonly key: number;
  /** A secret that the page does not know, or a field that cannot change: the agent fills it in. */
  readonly keep?: number;
}

interface Props {
  readonly details: RequestDetails;
  readonly onSend: (edits: ReplayEdits) => void;
  readonly onCancel: () => void;
}

/** Edits a request and sends it again. */
export function Editor({ details, onSend, onCancel }: Props) {
  const [method, setMethod] = useState(details.method);
  const [target, setTarget] = useState(details.target);
  const [fields, setFields] = useState<readonly EditedField[]>(() => editable(details.request.headers));
  const { body, text, setText } = useText(details);

  const change = (key: number, next: Partial<Field>): void =>
    setFields(fields.map((field) => (field.key === key ? { ...field, ...next } : field)));
  const send = (event: Event): void => {
    event.preventDefault();
    const headers = fields.map(({ name, value, keep }) => (keep === undefined ? { name, value } : { keep }));
    const isEdited = text !== undefined && (text !== body || details.request.body.cut !== undefined);
    onSend({
      method,
      target,
      headers,
      ...(isEdited && { body: base64(new TextEncoder().encode(text)) }),
    });
  };

  return (
    <form class="editor" onSubmit={send} aria-label="Edit and replay">
      <div class="line">
        <input
          aria-label="Method"
          class="verb"
          value={method}
          onInput={({ currentTarget }) => setMethod(currentTarget.value)}
        />
        <input
          aria-label="Path and query"
          class="wide"
          value={target}
          onInput={({ currentTarget }) => setTarget(currentTarget.value)}
        />
      </div>
      <h3>Headers</h3>
      {fields.map(({ key, name, value, masked, keep }) => (
        <div class="line" key={key}>
          <input
            aria-label="Name of the header"
            value={name}
            readOnly={keep !== undefined}
            onInput={({ currentTarget }) => change(key, { name: currentTarget.value })}
          />
          <input
            aria-label={`Value of ${name}`}
            class="wide"
            value={masked ? 'as recorded' : value}
            readOnly={keep !== undefined}
            onInput={({ currentTarget }) => change(key, { value: currentTarget.value })}
          />
          <button
            type="button"
            aria-label={`Remove ${name}`}
            onClick={() => setFields(fields.filter((field) => field.key !== key))}
          >
            ×
          </button>
        </div>
      ))}
      <button
        type="button"
        onClick={() => setFields([...fields, { key: Date.now(), name: 'X-Name', value: '' }])}
      >
        Add a header
      </button>
      <h3>Body</h3>
      {text === undefined ? (
        <p class="quiet">The body is not text. Portal sends it as recorded.</p>
      ) : (
        <textarea
          aria-label="Body"
          rows={8}
          spellcheck={false}
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      )}
      {details.request.body.cut !== undefined && (
        <p class="cut">The recorded body is incomplete. Portal sends what is written here.</p>
      )}
      <div class="actions">
        <button type="submit">Send</button>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

/** The Host field selects the service, so it cannot change. */
const isFixed = ({ name, masked }: Field): boolean => masked === true || name.toLowerCase() === 'host';

function editable(headers: readonly Field[]): EditedField[] {
  return headers
    .map((field, at) => ({ ...field, key: at, ...(isFixed(field) && { keep: at }) }))
    .filter(({ name }) => !FRAMING.has(name.toLowerCase()));
}

/** The raw body, if it is text. */
function useText({ id }: RequestDetails) {
  const [body, setBody] = useState<string | undefined>('');
  const [text, setText] = useState<string | undefined>('');
  const show = (found: string | undefined): void => {
    setBody(found);
    setText(found);
  };
  useEffect(() => {
    agent.body(id, 'request', 'raw').then(
      ({ bytes }) => show(textOf(bytes)),
      () => undefined,
    );
  }, [id]);
  return { body, text, setText };
}
