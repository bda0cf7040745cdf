import { createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A target that accepts only the canonical form of HTTP/1.1 (RFC 9112): one line end, one framing, no optional spelling.
 * Every server reads such bytes alike, so none can find another request in them. What deviates is a fault of the agent.
 * Each response has a header `X-Target: METHOD /path`, and says the same in its body.
 */

export interface StrictTarget {
  readonly port: number;
  /** `METHOD /path` of every complete request. */
  readonly requests: string[];
  /** Deviations, each with the bytes around it. */
  readonly faults: string[];
}

/** What the body of each response starts with, before `METHOD /path`. */
export const ASKED = 'you asked ';

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) (/[\\x21-\\x7e]*|\\*) HTTP/1\\.1$`);
/** No whitespace around the value, except the space that is customary. */
const FIELD_LINE = new RegExp(
  `^(${TOKEN}): ?((?:[\\x21-\\x7e\\x80-\\xff](?:[\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)?)$`,
);

type Fields = readonly (readonly [name: string, value: string])[];

export async function strictTarget(): Promise<StrictTarget> {
  const requests: string[] = [];
  const faults: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let pending = '';
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.toString('latin1');
      // The agent's probe for HTTP/2.
      if (pending.startsWith('PRI * HTTP/2.0\r\n'))
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      else answerAll();
    });
    function answerAll(): void {
      try {
        for (let read; (read = readRequest(pending)) !== undefined; pending = pending.slice(read.length)) {
          requests.push(read.request);
          const body = `${ASKED}${read.request}`;
          socket.write(
            `HTTP/1.1 200 OK\r\nX-Target: ${read.request}\r\nContent-Length: ${body.length}\r\n\r\n${read.request.startsWith('HEAD ') ? '' : body}`,
            'latin1',
          );
        }
      } catch (error) {
        faults.push(`${(error as Error).message} in ${JSON.stringify(pending)}`);
        socket.destroy();
      }
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, requests, faults };
}

/** The first request in `bytes` with its length, or undefined while it is incomplete. Throws for any other form. */
function readRequest(bytes: string): { request: string; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [requestLine, ...lines] = bytes.slice(0, end).split('\r\n');
  const [, method, target] = REQUEST_LINE.exec(requestLine!) ?? fault(`request line ${requestLine}`);
  const fields = lines.map(field);
  if (all(fields, 'host').length !== 1) fault('not exactly one Host');
  const length = bodyLength(fields, bytes.slice(end + 4));
  return length === undefined ? undefined : { request: `${method} ${target}`, length: end + 4 + length };
}

function field(line: string): readonly [string, string] {
  const [, name, value] = FIELD_LINE.exec(line) ?? fault(`field ${JSON.stringify(line)}`);
  return [name!.toLowerCase(), value!];
}

function all(fields: Fields, name: string): string[] {
  return fields.filter(([other]) => other === name).map(([, value]) => value);
}

/** RFC 9112, 6.3. Undefined while the body is incomplete. */
function bodyLength(fields: Fields, rest: string): number | undefined {
  const lengths = all(fields, 'content-length');
  const codings = all(fields, 'transfer-encoding');
  if (lengths.length + codings.length === 0) return 0;
  if (lengths.length + codings.length > 1) fault('more than one framing');
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') fault(`transfer coding ${codings[0]}`);
    return chunkedLength(rest);
  }
  if (!/^\d{1,15}$/.test(lengths[0]!)) fault(`length ${lengths[0]}`);
  return Number(lengths[0]) <= rest.length ? Number(lengths[0]) : undefined;
}

function chunkedLength(rest: string): number | undefined {
  for (let at = 0; ;) {
    const end = rest.indexOf('\n', at);
    if (end === -1) return undefined;
    const size = /^([0-9a-fA-F]{1,8})\r$/.exec(rest.slice(at, end))?.[1] ?? fault('chunk size');
    at = end + 1;
    if (Number.parseInt(size, 16) === 0) return trailersEnd(rest, at);
    at += Number.parseInt(size, 16);
    if (rest.length < at + 2) return undefined;
    if (rest.slice(at, at + 2) !== '\r\n') fault('end of a chunk');
    at += 2;
  }
}

function trailersEnd(rest: string, from: number): number | undefined {
  for (let at = from; ;) {
    const end = rest.indexOf('\r\n', at);
    if (end === -1) return undefined;
    if (end === at) return end + 2;
    const [name] = field(rest.slice(at, end));
    if (['content-length', 'transfer-encoding', 'host'].includes(name)) fault(`trailer ${name}`);
    at = end + 2;
  }
}

function fault(message: string): never {
  throw new Error(message);
}
