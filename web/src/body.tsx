import { useEffect, useMemo, useState } from 'preact/hooks';
import type { BodyInfo } from '../../src/agent/inspect/wire.js';
import { agent, type FetchedBody } from './connection.js';
import { Fields } from './fields.js';
import { textOf } from '../../src/agent/inspect/text.js';
import { bytesText, hexDump, kindOf, mediaOf, pairsOf, prettyJson, type BodyKind } from './format.js';
import { partsOf, type Part } from './multipart.js';

const MAX_HEX_BYTES = 16 * 1024;
const MAX_TEXT_CHARS = 500_000;
/** A longer text stays folded until the user opens it. */
const FOLDED_LINES = 200;
const FOLDED_CHARS = 20_000;
const MAX_FIELD_CHARS = 2_000;

interface Props {
  readonly id: number;
  readonly of: 'request' | 'response';
  readonly info: BodyInfo;
}

const CUTS: Readonly<Record<Exclude<BodyInfo['cut'], undefined>, string>> = {
  long: 'Portal keeps only the beginning of a long body.',
  load: 'Portal did not record all of it: too much data arrived at once.',
  pin: 'Portal does not record it, because it may contain the PIN.',
  unread: 'Portal did not read it.',
};

/** A body. Fetches it when it is shown. */
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
  const whose = of === 'request' ? 'request body' : 'response body';
  return (
    <>
      {info.cut && (
        <p class="cut">
          {CUTS[info.cut]} {bytesText(info.keptBytes)} of {bytesText(info.bytes)}.
        </p>
      )}
      {body.decoded !== undefined && (
        <p class="quiet">
          {body.decoded} decoded: {bytesText(info.keptBytes)} to {bytesText(body.bytes.length)}
          {body.isPart && ', incomplete'}.
        </p>
      )}
      {best !== 'empty' && (
        <div class="forms" role="group" aria-label={`Format of the ${whose}`}>
          {(['best', 'text', 'hex'] as const)
            .filter((each) => !(each === 'text' && best === 'text') && !(each === 'hex' && best === 'binary'))
            .map((each) => (
              <button key={each} type="button" aria-pressed={form === each} onClick={() => setForm(each)}>
                {{ best: NAMES[best], text: 'Text', hex: 'Bytes' }[each]}
              </button>
            ))}
        </div>
      )}
      <Shown kind={kind} bytes={body.bytes} type={info.type} whose={whose} />
    </>
  );
}

const NAMES: Readonly<Record<BodyKind, string>> = {
  empty: '',
  json: 'JSON',
  form: 'Form',
  multipart: 'Form',
  image: 'Image',
  text: 'Text',
  binary: 'Bytes',
};

interface ShownProps {
  readonly kind: BodyKind;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string | undefined;
  /** For screen readers. */
  readonly whose: string;
}

function Shown({ kind, bytes, type, whose }: ShownProps) {
  if (kind === 'empty') return <p class="quiet">no body</p>;
  if (kind === 'image') return <Picture bytes={bytes} type={mediaOf(type)} whose={whose} />;
  if (kind === 'binary') return <Hex bytes={bytes} whose={whose} />;
  if (kind === 'multipart') return <Parts bytes={bytes} type={type} whose={whose} />;
  const text = textOf(bytes) ?? new TextDecoder('latin1').decode(bytes);
  if (kind === 'form')
    return <Fields title="Form" isBare fields={pairsOf(text).map(([name, value]) => ({ name, value }))} />;
  return <Text text={(kind === 'json' ? prettyJson(text) : undefined) ?? text} whose={whose} />;
}

function Text({ text, whose }: { text: string; whose: string }) {
  const [isFolded, setFolded] = useState(true);
  const beginning = useMemo(() => text.slice(0, FOLDED_CHARS).split('\n', FOLDED_LINES).join('\n'), [text]);
  const isLong = beginning.length < text.length;
  const shown = isFolded ? beginning : text.slice(0, MAX_TEXT_CHARS);
  return (
    <>
      <pre tabIndex={0} role="group" aria-label={whose}>
        {shown}
      </pre>
      {isLong && isFolded && (
        <button type="button" onClick={() => setFolded(false)}>
          Show all of it: {text.length.toLocaleString('en')} characters
        </button>
      )}
      {!isFolded && shown.length < text.length && <p class="cut">The rest is too long to show.</p>}
    </>
  );
}

/** Shows only name, type and size of files, not their contents. */
function Parts({ bytes, type, whose }: Omit<ShownProps, 'kind'>) {
  const parts = useMemo(() => partsOf(type, bytes), [bytes, type]);
  if (!parts) return <Hex bytes={bytes} whose={whose} />;
  return (
    <table class="fields parts" aria-label="Form">
      <tbody>
        {parts.map((part, index) => (
          <tr key={index}>
            <th scope="row">{part.name}</th>
            <td>{partText(part)}</td>
            <td class="quiet">
              {[part.type, bytesText(part.bytes.length), part.isCut && 'incomplete']
                .filter(Boolean)
                .join(', ')}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function partText({ filename, bytes }: Part): string {
  if (filename !== undefined) return filename === '' ? 'no file' : `file ${filename}`;
  const text = textOf(bytes) ?? `${bytesText(bytes.length)} that are not text`;
  return text.length > MAX_FIELD_CHARS ? `${text.slice(0, MAX_FIELD_CHARS)}…` : text;
}

function Hex({ bytes, whose }: { bytes: Uint8Array; whose: string }) {
  return (
    <>
      <pre class="hex" tabIndex={0} role="group" aria-label={whose}>
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

interface PictureProps {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly whose: string;
}

/** An image from memory. It runs no code and loads nothing, whatever it contains. */
function Picture({ bytes, type, whose }: PictureProps) {
  const [url, setUrl] = useState('');
  const [isBroken, setBroken] = useState(false);
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes], { type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes, type]);
  if (isBroken) return <Hex bytes={bytes} whose={whose} />;
  return url ? <img src={url} alt={`the ${whose}`} onError={() => setBroken(true)} /> : null;
}
