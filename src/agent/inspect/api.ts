import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { readBounded } from '../../lib/read-bounded.js';
import { decode } from './decode.js';
import { HAR_BEGIN, HAR_END, harEntry } from './har.js';
import { messagesOf } from './messages.js';
import type { Recorders } from './recorder.js';
import { fieldOf, type Recording } from './recording.js';
import type { EarlierRequests, ReplayEdits, WsMessages } from './wire.js';

/** Limit of an edited request: a base64 body and its fields. */
const MAX_EDITS_BYTES = 1024 * 1024;

/** An unsuccessful response, with a message for the page. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The page's requests other than the live feed. Authorization happens before. */
export class InspectorApi {
  readonly #recorders: Recorders;

  constructor(recorders: Recorders) {
    this.#recorders = recorders;
  }

  async respond(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, what, id, verb] = /^\/api\/(\w+)(?:\/(\d{1,15})(?:\/(\w+))?)?$/.exec(url.pathname) ?? [];
    const asked = `${request.method} ${[what, id && 'ID', verb].filter((part) => part !== undefined).join('/')}`;
    switch (asked) {
      case 'GET requests/ID':
        return json(response, this.#recorders.details(await this.#find(id), false));
      case 'POST requests/ID/reveal':
        return json(response, this.#recorders.details(await this.#find(id), true));
      case 'GET requests/ID/body':
        return this.#body(response, await this.#find(id), url.searchParams);
      case 'GET requests/ID/messages':
        return json(response, wsMessages(await this.#find(id)));
      case 'POST requests/ID/replay':
        return this.#replay(response, await this.#find(id), readEdits(await readJson(request)));
      case 'POST har':
        return this.#har(response, readIds(await readJson(request)));
      case 'GET earlier':
        return json(response, await this.#earlier(url.searchParams));
      case 'POST clear':
        await this.#recorders.clear();
        return json(response, {});
      default:
        throw new ApiError(404, 'not found');
    }
  }

  async #find(id: string | undefined): Promise<Recording> {
    const recording = await this.#recorders.find(Number(id));
    if (!recording) throw new ApiError(404, 'this request is no longer kept');
    return recording;
  }

  /** Requests of inspected services that are no longer in memory. */
  async #earlier(query: URLSearchParams): Promise<EarlierRequests> {
    const { history, store } = this.#recorders;
    const before = query.has('before') ? Number(query.get('before')) : undefined;
    if (!history) return { rows: [], isPart: false };
    return history.earlier(this.#recorders.services(), before, (id) => store.get(id) !== undefined);
  }

  /** Always with a type that browsers do not interpret. */
  async #body(response: ServerResponse, recording: Recording, query: URLSearchParams): Promise<void> {
    const isRequest = query.get('of') === 'request';
    const headers = isRequest ? recording.requestHeaders : recording.responseHeaders;
    const body = isRequest ? recording.requestBody : recording.responseBody;
    const encoding = query.has('raw') ? undefined : fieldOf(headers, 'content-encoding');
    const kept = body.kept();
    const decoded = await decode(kept, encoding, this.#recorders.store.limits.maxDecodedBytes);
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': 'attachment',
      ...(decoded?.codings.length && { 'Portal-Decoded': decoded.codings.join(', ') }),
      ...(decoded?.isPart && { 'Portal-Part': 'yes' }),
    });
    response.end(decoded?.bytes ?? kept);
  }

  /** Writes one request after another, at the reader's pace. */
  async #har(response: ServerResponse, ids: readonly number[]): Promise<void> {
    const { store } = this.#recorders;
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Disposition': 'attachment' });
    response.write(HAR_BEGIN);
    let separator = '';
    for (const id of ids) {
      const recording = await this.#recorders.find(id);
      if (!recording) continue;
      const details = this.#recorders.details(recording, false);
      const entry = await harEntry(recording, details, store.limits.maxDecodedBytes);
      const hasRoom = response.write(separator + JSON.stringify(entry));
      separator = ',';
      if (response.destroyed) return;
      if (!hasRoom) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
    response.end(HAR_END);
  }

  #replay(response: ServerResponse, recording: Recording, edits: ReplayEdits): void {
    const why = this.#recorders.noReplay(recording, edits);
    if (why !== undefined) throw new ApiError(409, `this request cannot be replayed: ${why}`);
    json(response, { id: this.#recorders.replay(recording, edits) });
  }
}

export function json(response: ServerResponse, value: object, status = 200): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}

function wsMessages({ messages }: Recording): WsMessages {
  return messages
    ? { messages: messagesOf(messages), dropped: messages.dropped }
    : { messages: [], dropped: 0 };
}

const tooLong = (): ApiError => new ApiError(413, 'the edited request is too long');

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBounded(request, MAX_EDITS_BYTES, tooLong);
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new ApiError(400, 'the body is not valid JSON');
  }
}

function readIds(value: unknown): number[] {
  const { ids } = (value ?? {}) as { ids?: unknown };
  if (!Array.isArray(ids) || !ids.every((id) => Number.isInteger(id)))
    throw new ApiError(400, 'the body is not a list of ids');
  return ids as number[];
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What a request line can contain. */
const TARGET = /^\/[!-~\x80-\xff]*$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function wrong(what: string): never {
  throw new ApiError(400, `the edited request has ${what}`);
}

/** Accepts only what a visitor could have sent. */
function readEdits(value: unknown): ReplayEdits {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong('an invalid form');
  const { method, target, headers, body } = value as Record<string, unknown>;
  if (method !== undefined && !isText(method, TOKEN)) return wrong('an invalid method');
  if (method === 'CONNECT') return wrong('a method that services cannot receive');
  if (target !== undefined && !isText(target, TARGET)) return wrong('an invalid path');
  if (body !== undefined && typeof body !== 'string') return wrong('an invalid body');
  if (headers !== undefined && !(Array.isArray(headers) && headers.every(isField)))
    return wrong('a header that cannot be sent');
  return {
    ...(method !== undefined && { method }),
    ...(target !== undefined && { target }),
    ...(headers !== undefined && { headers: headers as ReplayEdits['headers'] & object }),
    ...(body !== undefined && { body }),
  };
}

function isText(value: unknown, form: RegExp): value is string {
  return typeof value === 'string' && form.test(value);
}

function isField(field: unknown): boolean {
  if (typeof field !== 'object' || field === null) return false;
  const { name, value, keep } = field as Record<string, unknown>;
  if (keep !== undefined) return Number.isInteger(keep);
  return isText(name, TOKEN) && isText(value, VALUE);
}
