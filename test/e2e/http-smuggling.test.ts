import { expect, it } from 'vitest';
import { within } from '../../src/lib/wait.js';
import { eventually } from '../support/eventually.js';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  fields,
  frame,
  frameVisitor,
  GET,
  HEADERS,
} from '../support/h2-frames.js';
import { connectTo, edge, HOST, type Edge } from '../support/http-edge.js';
import { smugglingCorpusH2 } from '../support/smuggling-corpus-h2.js';
import { smugglingCorpus, type Ambiguous } from '../support/smuggling-corpus.js';
import { ASKED, strictTarget } from '../support/strict-target.js';

/**
 * Request smuggling needs two servers that read the same bytes differently. So every ambiguous request is either rejected,
 * or reaches the target in a form that leaves no choice, and the visitor and the target count the same responses.
 */

/** Visitors at the same time. */
const AT_ONCE = 16;
/** How long a visitor waits for more. */
const IDLE_MS = 500;

interface Outcome {
  readonly number: number;
  readonly what: string;
  /** `METHOD /path` of each response that comes from the target. */
  readonly answered: readonly string[];
  /** Status of each response. */
  readonly statuses: readonly number[];
  /** The visitor waited for more that did not come, and ended. */
  readonly gaveUp: boolean;
  /** The connection stayed open even so. */
  readonly hung: boolean;
}

it(
  'lets no ambiguous request become two, and sends the target only one form',
  { timeout: 120_000 },
  async () => {
    const corpus = smugglingCorpus();
    expect(corpus.length).toBeGreaterThanOrEqual(798);
    const target = await strictTarget();
    const at = await edge({ '/': target.port });
    const outcomes = await visitAll(at, corpus);
    expect(target.faults).toEqual([]);
    expect(outcomes.filter(({ hung }) => hung).map(({ what }) => what)).toEqual([]);

    const disagreements: object[] = [];
    for (const { number, what, answered, statuses, gaveUp } of outcomes) {
      const reached = reachedBy(target.requests, number);
      // A visitor who ends loses the responses in flight.
      const expected = gaveUp ? reached.slice(0, answered.length) : reached;
      if (JSON.stringify(expected) !== JSON.stringify(answered))
        disagreements.push({ what, reached, answered, statuses });
      if (corpus[number]!.mustFail && (reached.length > 0 || !statuses.every((status) => status >= 400)))
        disagreements.push({ what, mustFail: true, reached, statuses });
    }
    expect(disagreements).toEqual([]);
    // The corpus does reach the target: a handler that rejects everything proves nothing.
    expect(target.requests.length).toBeGreaterThan(100);
  },
);

/** The requests of this case that the target got, in their order. */
function reachedBy(requests: readonly string[], number: number): string[] {
  return requests.filter((request) => new RegExp(`-${number}(?!\\d)`).test(request));
}

async function visitAll(at: Edge, corpus: readonly Ambiguous[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = [...corpus.entries()];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next; (next = waiting.shift());) outcomes.push(await visit(at, ...next));
    }),
  );
  return outcomes;
}

/** Sends the request and one after it, and reads until the agent closes, as both ask for it. */
async function visit(at: Edge, number: number, { what, bytes }: Ambiguous): Promise<Outcome> {
  const socket = await connectTo(at);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const after = `GET /after-{n} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n`;
  let gaveUp = false;
  // Some requests announce more than they contain.
  socket.setTimeout(IDLE_MS, () => {
    gaveUp = true;
    socket.end();
  });
  socket.write(
    Buffer.from(`${bytes}${after}`.replaceAll('{n}', `${number}`).replaceAll('HOST', HOST), 'latin1'),
  );
  const hung = await within(closed, 5_000, 'the end of the connection').then(
    () => false,
    () => true,
  );
  socket.destroy();
  return { number, what, hung, gaveUp, ...responses(received) };
}

function responses(received: string): Pick<Outcome, 'answered' | 'statuses'> {
  // Bodies of the target contain neither of both forms.
  return {
    answered: [...received.matchAll(/^x-target: (.*)\r$/gim)].map(([, request]) => request!),
    statuses: [...received.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status)),
  };
}

it('lets no field of HTTP/2 become a line of HTTP/1.1', { timeout: 120_000 }, async () => {
  const corpus = smugglingCorpusH2();
  const target = await strictTarget();
  const at = await edge({ '/': target.port });
  const outcomes: { number: number; what: string; answered: string[] }[] = [];
  for (const [number, { what, fields: pairs, body }] of corpus.entries()) {
    const own = (text: string): string => text.replaceAll('{n}', `${number}`).replaceAll('HOST', HOST);
    const visitor = await frameVisitor(at);
    const head = fields(pairs.map(([name, value]) => [own(name), own(value)] as const));
    const after = fields([...GET.filter(([name]) => name !== ':path'), [':path', `/after-${number}`]]);
    visitor.send(
      frame(HEADERS, END_HEADERS, 1, head),
      frame(DATA, END_STREAM, 1, Buffer.from(own(body), 'latin1')),
      frame(HEADERS, END_HEADERS | END_STREAM, 3, after),
    );
    await eventually(() => expect([visitor.end(1), visitor.end(3)]).not.toContain(undefined));
    visitor.socket.destroy();
    const answered = [visitor.body(1), visitor.body(3)].filter((text) => text.startsWith(ASKED));
    outcomes.push({ number, what, answered: answered.map((text) => text.slice(ASKED.length)) });
  }
  expect(target.faults).toEqual([]);
  const wrong = outcomes.filter(({ number, answered }) => {
    const reached = reachedBy(target.requests, number);
    const other = reached.filter((request) => request !== `GET /after-${number}`);
    return (
      (corpus[number]!.mustFail && other.length > 0) ||
      JSON.stringify(reached.toSorted()) !== JSON.stringify(answered.toSorted())
    );
  });
  expect(
    wrong.map((outcome) => ({ ...outcome, reached: reachedBy(target.requests, outcome.number) })),
  ).toEqual([]);
  expect(target.requests.length).toBeGreaterThan(corpus.length / 2);
});
