import type { IncomingMessage, ServerResponse } from 'node:http';
import { PortalError, type ErrorCode } from '../../lib/errors.js';
import { readBounded } from '../../lib/read-bounded.js';
import type { ErrorResponse } from '../../protocol/agents.js';
import { LIMITS } from '../../protocol/limits.js';

/** Requests and responses of the API of agents, and the checks before anything else. */

/** An error with an HTTP status that our error codes do not cover. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  protocol: 400,
  unauthorized: 401,
  expired: 401,
  not_found: 404,
  name_in_use: 409,
  limit_exceeded: 429,
  relay_busy: 503,
  shutting_down: 503,
};

export function sendJson(response: ServerResponse, status: number, value: object): void {
  const text = `${JSON.stringify(value)}\n`;
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

export function sendError(response: ServerResponse, error: unknown): void {
  if (error instanceof HttpRefusal) {
    for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
    return sendJson(response, error.status, said('protocol', error.message));
  }
  const known = error instanceof PortalError ? STATUS_OF[error.code] : undefined;
  if (!(error instanceof PortalError) || known === undefined)
    return sendJson(response, 500, said('internal', 'internal error of the relay'));
  // Close, so that a client over its limit must connect again and wait its turn.
  if (known === 429 || known === 503) response.setHeader('connection', 'close');
  if (error.retryAfterMs !== undefined)
    response.setHeader('retry-after', Math.ceil(error.retryAfterMs / 1_000));
  return sendJson(response, known, said(error.code, error.message));
}

const said = (code: ErrorCode, message: string): ErrorResponse => ({ code, message });

/** The string fields of a JSON object in the body. Ignores other fields. */
export async function readFields<K extends string>(
  request: IncomingMessage,
  names: readonly K[],
): Promise<Record<K, string>> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new HttpRefusal(415, 'the body must be application/json');
  const value = parse(await readBody(request));
  const fields: Partial<Record<K, string>> = {};
  for (const name of names) {
    const field = Object.hasOwn(value, name) ? value[name] : undefined;
    if (typeof field !== 'string') throw new PortalError('protocol', `"${name}" must be a string`);
    fields[name] = field;
  }
  return fields as Record<K, string>;
}

function parse(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PortalError('protocol', 'the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PortalError('protocol', 'the body is not a JSON object');
  return value as Record<string, unknown>;
}

/** The server's request timeout applies. */
async function readBody(request: IncomingMessage): Promise<string> {
  const max = LIMITS.maxAgentsRequestBytes;
  const tooLong = (): HttpRefusal =>
    new HttpRefusal(413, `the body has more than ${max} bytes`, { connection: 'close' });
  return (await readBounded(request, max, tooLong)).toString('utf8');
}
