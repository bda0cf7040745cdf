import { useEffect, useState } from 'preact/hooks';
import { idText } from '../../src/agent/inspect/history/ids.js';
import type { Field, RequestDetails } from '../../src/agent/inspect/wire.js';
import { fieldDifferences, lineDifferences, type Difference } from './compare.js';
import { agent } from './connection.js';
import { textOf } from '../../src/agent/inspect/text.js';
import { bytesText, kindOf, msText, prettyJson } from './format.js';

interface Side {
  readonly details: RequestDetails;
  readonly bodies: Readonly<Record<'request' | 'response', string | undefined>>;
}

const UNCHANGED_LINES = 3;

/** The differences between two requests. */
export function Comparison({ before, after }: { before: number; after: number }) {
  const [sides, setSides] = useState<readonly [Side, Side] | undefined>(undefined);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let isCurrent = true;
    Promise.all([load(before), load(after)]).then(
      (both) => isCurrent && setSides(both),
      (error: Error) => isCurrent && setProblem(error.message),
    );
    return () => {
      isCurrent = false;
    };
  }, [before, after]);
  if (problem) return <p class="error">{problem}</p>;
  if (!sides) return null;
  const [one, other] = sides;
  return (
    <>
      <p class="quiet">
        Request {idText(before)} beside request {idText(after)}. Secrets are compared as they are shown.
      </p>
      <Rows title="Summary" rows={fieldDifferences(summary(one.details), summary(other.details))} />
      {(['request', 'response'] as const).map((of) => (
        <div key={of}>
          <Rows
            title={of === 'request' ? 'Request headers' : 'Response headers'}
            rows={fieldDifferences(one.details[of].headers, other.details[of].headers)}
          />
          <h3>{of === 'request' ? 'Request body' : 'Response body'}</h3>
          <Bodies before={one.bodies[of]} after={other.bodies[of]} />
        </div>
      ))}
    </>
  );
}

async function load(id: number): Promise<Side> {
  const [details, request, response] = await Promise.all([
    agent.details(id, false),
    agent.body(id, 'request'),
    agent.body(id, 'response'),
  ]);
  const text = (of: 'request' | 'response', bytes: Uint8Array): string | undefined => {
    const plain = textOf(bytes);
    const isJson = kindOf(details[of].body.type, bytes) === 'json';
    return plain !== undefined && isJson ? (prettyJson(plain) ?? plain) : plain;
  };
  return {
    details,
    bodies: { request: text('request', request.bytes), response: text('response', response.bytes) },
  };
}

function summary(details: RequestDetails): Field[] {
  const { method, target, authority, version, status, totalMs, request, response } = details;
  return Object.entries({
    method,
    path: target,
    host: authority,
    HTTP: version,
    status: String(status ?? ''),
    took: msText(totalMs),
    'request body': bytesText(request.body.bytes),
    'response body': bytesText(response.body.bytes),
  }).map(([name, value]) => ({ name, value }));
}

function Rows({ title, rows }: { title: string; rows: readonly Difference[] }) {
  return (
    <>
      <h3>{title}</h3>
      {rows.length === 0 ? (
        <p class="quiet">no difference</p>
      ) : (
        <table class="fields differences" aria-label={title}>
          <tbody>
            {rows.map(({ name, before, after }, index) => (
              <tr key={index}>
                <th scope="row">{name}</th>
                <td class="before">{before ?? '—'}</td>
                <td class="after">{after ?? '—'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

const SIGNS = { same: ' ', before: '−', after: '+' } as const;

function Bodies({ before, after }: { before: string | undefined; after: string | undefined }) {
  if (before === undefined || after === undefined) return <p class="quiet">at least one is not text</p>;
  if (before === after) return <p class="quiet">no difference</p>;
  const lines = lineDifferences(before, after);
  const isNear = lines.map((_, at) =>
    lines
      .slice(Math.max(0, at - UNCHANGED_LINES), at + UNCHANGED_LINES + 1)
      .some(({ kind }) => kind !== 'same'),
  );
  return (
    <pre tabIndex={0} class="differences">
      {lines.map(({ kind, text }, at) => {
        if (!isNear[at]) return isNear[at + 1] ? <div key={at}>⋯</div> : null;
        return (
          <div key={at} class={kind}>
            {SIGNS[kind]} {text}
          </div>
        );
      })}
    </pre>
  );
}
