import type { Recording } from '../agent/inspect/recording.js';
import type { Recorders } from '../agent/inspect/recorder.js';
import { pathOf } from '../agent/modes/http/routing/paths.js';
import { PortalError } from '../lib/errors.js';
import { deferred, within } from '../lib/wait.js';
import type { RecordedBody, RecordedRequest, RequestMatch } from './api.js';

/** How many requests a timeout lists. */
const MAX_LISTED = 5;

/** The recorded requests of one service, unmasked: the program that runs the service sees them anyway. */
export class RecordedRequests {
  readonly #recorders: Recorders;
  readonly #service: string;
  /** Ids that `waitFor` has returned. */
  readonly #returned = new Set<number>();

  constructor(recorders: Recorders, service: string) {
    this.#recorders = recorders;
    this.#service = service;
  }

  all(): RecordedRequest[] {
    return [...this.#ended()].map(requestOf);
  }

  async waitFor(
    match: RequestMatch | undefined,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<RecordedRequest> {
    const matches = matcherOf(match);
    const found = deferred<RecordedRequest>();
    const look = (): void => {
      const next = this.#next(matches);
      if (next === undefined) return;
      // Two calls at the same time get two requests.
      this.#returned.add(next.id);
      stop();
      found.resolve(next);
    };
    const stop = this.#recorders.store.listen({
      changed: () => {
        try {
          look();
        } catch (error) {
          found.reject(error);
        }
      },
    });
    try {
      look();
      return await within(found.promise, timeoutMs, 'a matching request', signal);
    } catch (error) {
      throw error instanceof PortalError && error.code === 'timeout' ? this.#withReceived(error) : error;
    } finally {
      stop();
    }
  }

  *#ended(): Generator<Recording> {
    for (const recording of this.#recorders.store.all())
      if (recording.service === this.#service && hasEnded(recording)) yield recording;
  }

  #next(matches: (request: RecordedRequest) => boolean): RecordedRequest | undefined {
    for (const recording of this.#ended()) {
      if (this.#returned.has(recording.id)) continue;
      const request = requestOf(recording);
      if (matches(request)) return request;
    }
    return undefined;
  }

  /** A test that times out should show what arrived instead. */
  #withReceived({ code, message }: PortalError): PortalError {
    const others = this.all().filter(({ id }) => !this.#returned.has(id));
    const listed = others.slice(-MAX_LISTED).map(({ method, path }) => `${method} ${pathOf(path)}`);
    const more = others.length > MAX_LISTED ? `${others.length - MAX_LISTED} others, ` : '';
    const hint = listed.length === 0 ? 'No other request arrived.' : `Received: ${more}${listed.join(', ')}.`;
    return new PortalError(code, message, { hint });
  }
}
const hasEnded = ({ outcome }: Recording): boolean => outcome === 'done' || outcome === 'broken';

function matcherOf(match: RequestMatch | undefined): (request: RecordedRequest) => boolean {
  if (match === undefined) return () => true;
  if (typeof match === 'function') return match;
  if (typeof match === 'string') return ({ path }) => pathOf(path) === match;
  const { method, path } = match;
  const unknown = Object.keys(match).find((key) => key !== 'method' && key !== 'path');
  if (unknown !== undefined)
    throw new PortalError('usage', `a request has no "${unknown}" to match`, {
      hint: 'Match by method and path, or with a function.',
    });
  return (request) =>
    (method === undefined || request.method === method.toUpperCase()) &&
    (path === undefined || pathOf(request.path) === path);
}

function requestOf(recording: Recording): RecordedRequest {
  const { id, service, method, target, remote, startedAt, status } = recording;
  return {
    id,
    service,
    method,
    path: target,
    headers: fieldsOf(recording.requestHeaders),
    body: bodyOf(recording.requestBody),
    remote,
    startedAt: new Date(startedAt),
    ...(status !== undefined && {
      response: {
        status,
        headers: fieldsOf(recording.responseHeaders),
        body: bodyOf(recording.responseBody),
      },
    }),
  };
}

function fieldsOf(headers: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    const value = headers[i + 1]!;
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  return fields;
}

function bodyOf(body: Recording['requestBody']): RecordedBody {
  const bytes = body.kept();
  const text = (): string => bytes.toString('utf8');
  return { bytes, length: body.bytes, text, json: () => JSON.parse(text()) as unknown };
}
