import type { Recording } from '../agent/inspect/recording.js';
import type { Recorders } from '../agent/inspect/recorder.js';
import { pathOf } from '../agent/modes/http/paths.js';
import { PortalError } from '../lib/errors.js';
import { deferred, within } from '../lib/wait.js';
import type { RecordedBody, RecordedRequest, RequestMatch } from './api.js';

/** The recorded requests of one tunnel, unmasked: the program that runs the service sees them anyway. */
export class RecordedRequests {
  readonly #recorders: Recorders;
  /** Ids that `waitFor` has returned. */
  readonly #returned = new Set<number>();

  constructor(recorders: Recorders) {
    this.#recorders = recorders;
  }

  all(): RecordedRequest[] {
    return [...this.#recorders.store.all()].filter(hasEnded).map(requestOf);
  }

  async waitFor(
    match: RequestMatch | undefined,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<RecordedRequest> {
    const matches = matcherOf(match);
    const found = deferred<RecordedRequest>();
    const look = (): void => {
      const next = this.all().find((request) => !this.#returned.has(request.id) && matches(request));
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
    } finally {
      stop();
    }
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
