import { useEffect, useState } from 'preact/hooks';
import type { BodyInfo } from '../../src/agent/inspect/wire.js';
import { agent, type FetchedBody } from './connection.js';
import { Fields } from './fields.js';
import { textOf } from '../../src/agent/inspect/text.js';
import { bytesText, hexDump, kindOf, mediaOf, pairsOf, prettyJson, type BodyKind } from './format.js';

const MAX_HEX_BYTES = 16 * 1024;
const MAX_TEXT_CHARS = 500_000;

interface Props {
  readonly id: number;
  readonly of: 'request' | 'response';
  readonly info: BodyInfo;
}

const CUTS: Readonly<Record<Exclude<BodyInfo['cut'], undefined>, string>> = {
  long: 'Only the beginning is kept: it is long.',
  load: 'Not all of it is kept: too much came at once.',
  pin: 'It is not kept: it is where people type the PIN.',
  unread: 'It was not read.',
};

/** A body, fetched when it is looked at. */
export function Body({ id, of, info }: Props) {
  const [body, setBody] = useState<FetchedBody | undefined>(undefined);
  const [problem, setProblem] = useState('');
  const [form, setForm] = useState<'best' | 'text' | 'hex'>('best');
  useEffect(() => {
    let isCurrent = true;
    agent.body(id, of).then(
      (got) => isCurrent && setBody(got),
      (error: Error) => isCurrent && setProblem(error.message),
    );
    return () => {
      isCurrent = false;
    };
  }, [id, of, info.keptBytes]);
  if (problem) return <p class="error">{problem}</p>;
  if (!body) return null;
  const best = kindOf(info.type, body.bytes);
  const kind: BodyKind = form === 'best' ? best : form === 'text' ? 'text' : 'binary';
  return (
    <>
      {info.cut && (
        <p class="cut">
          {CUTS[info.cut]} {bytesText(info.keptBytes)} of {bytesText(info.bytes)}.
        </p>
      )}
      {body.decoded !== undefined && (
        <p class="quiet">
          {body.decoded} taken off: {bytesText(info.keptBytes)} became {bytesText(body.bytes.length)}
          {body.isPart && ', and not all of it'}.
        </p>
      )}
      {best !== 'empty' && (
        <div class="forms" role="group" aria-label="How the body is shown">
          {(['best', 'text', 'hex'] as const).map((each) => (
            <button key={each} type="button" aria-pressed={form === each} onClick={() => setForm(each)}>
              {{ best: NAMES[best], text: 'As text', hex: 'Bytes' }[each]}
            </button>
          ))}
        </div>
      )}
      <Shown kind={kind} bytes={body.bytes} type={info.type} />
    </>
  );
}

const NAMES: Readonly<Record<BodyKind, string>> = {
  empty: '',
  json: 'JSON',
  form: 'Form',
  image: 'Picture',
  text: 'Text',
  binary: 'Binary',
};

function Shown({
  kind,
  bytes,
  type,
}: {
  kind: BodyKind;
  bytes: Uint8Array<ArrayBuffer>;
  type: string | undefined;
}) {
  if (kind === 'empty') return <p class="quiet">none</p>;
  if (kind === 'image') return <Picture bytes={bytes} type={mediaOf(type)} />;
  if (kind === 'binary') return <Hex bytes={bytes} />;
  const text = textOf(bytes) ?? new TextDecoder('latin1').decode(bytes);
  if (kind === 'form')
    return <Fields title="Form" fields={pairsOf(text).map(([name, value]) => ({ name, value }))} />;
  const pretty = kind === 'json' ? prettyJson(text) : undefined;
  return <Text text={pretty ?? text} />;
}

function Text({ text }: { text: string }) {
  const shown = text.slice(0, MAX_TEXT_CHARS);
  return (
    <>
      <pre tabIndex={0}>{shown}</pre>
      {shown.length < text.length && <p class="cut">The rest is too long to show.</p>}
    </>
  );
}

function Hex({ bytes }: { bytes: Uint8Array }) {
  return (
    <>
      <pre class="hex" tabIndex={0}>
        {hexDump(bytes, MAX_HEX_BYTES)}
      </pre>
      {bytes.length > MAX_HEX_BYTES && (
        <p class="cut">
          The first {bytesText(MAX_HEX_BYTES)} of {bytesText(bytes.length)}.
        </p>
      )}
    </>
  );
}

/** As a picture from memory: whatever is in it, a picture runs nothing and loads nothing. */
function Picture({ bytes, type }: { bytes: Uint8Array<ArrayBuffer>; type: string }) {
  const [url, setUrl] = useState('');
  const [isBroken, setBroken] = useState(false);
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes], { type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes, type]);
  if (isBroken) return <Hex bytes={bytes} />;
  return url ? <img src={url} alt="the body of the answer" onError={() => setBroken(true)} /> : null;
}
