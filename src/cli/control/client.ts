import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { RequestRow } from '../../agent/inspect/wire.js';
import type { ErrorSummary } from '../../agent/status.js';
import type { Desired } from '../../config/desired.js';
import { PortalError, systemCode, type PortalErrorOptions } from '../../lib/errors.js';
import type { AccessEntry } from '../../agent/access-log.js';
import type { AgentStatus, Readiness } from '../../reconcile/events.js';
import type { Shared, ShareRequest } from '../../reconcile/local/sharing.js';
import type { Survey } from '../../reconcile/candidates/survey.js';
import type { Action } from '../../reconcile/plan.js';
import { errorOf } from '../failure.js';
import { pidFileOf } from './address.js';
import { RECENT_HEADER, type Entry } from './history.js';
import type { FlushResult, ReloadResult, WipeResult } from './server.js';

/** Longer than an agent needs to query its relays. A suspended agent (SIGSTOP) must not block this process. */
const RESPONSE_TIMEOUT_MS = 10_000;
/** Two visits to each service, of up to five seconds each, a few hundred at a time. */
const PROVE_TIMEOUT_MS = 30_000;

/** Longer than the 30 seconds that a service has to respond to a replayed request. */
const REPLAY_TIMEOUT_MS = 40_000;

export interface LogsOptions {
  readonly follow: boolean;
  readonly signal?: AbortSignal;
  /** Called first, with the number of recent entries. 0 for an agent of an earlier version. */
  readonly onRecent?: (entries: number) => void;
}

export interface ControlOptions {
  readonly timeoutMs?: number;
  /** The portal.yaml of the agent, for errors. */
  readonly file?: string;
  /** What to do if it is not running. */
  readonly hint?: string;
}

/** Talks to a running agent over its local socket. Every call throws `not_running` if no agent listens. */
export class ControlClient {
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #file: string | undefined;
  readonly #hint: string | undefined;

  constructor(path: string, { timeoutMs = RESPONSE_TIMEOUT_MS, file, hint }: ControlOptions = {}) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    this.#file = file;
    this.#hint = hint;
  }

  status(): Promise<AgentStatus> {
    return this.#call<AgentStatus>('GET', '/status');
  }

  /** Whether all services are ready, without checking them. */
  readiness(timeoutMs = this.#timeoutMs): Promise<Readiness> {
    return this.#call<Readiness>('GET', '/ready', undefined, timeoutMs);
  }

  /** Every relay of its configuration, including chosen ones. */
  relays(): Promise<Survey> {
    return this.#call<Survey>('GET', '/relays');
  }

  plan(desired: Desired): Promise<Action[]> {
    return this.#call<Action[]>('POST', '/plan', desired);
  }

  /** Makes the agent prove that visitors reach every service. Returns the status after that. */
  prove(): Promise<AgentStatus> {
    return this.#call<AgentStatus>('POST', '/prove', undefined, PROVE_TIMEOUT_MS);
  }

  /** Sends a recorded request to its service again. Returns the new recording. */
  replay(id: number): Promise<RequestRow> {
    return this.#call<RequestRow>('POST', '/replay', { id }, REPLAY_TIMEOUT_MS);
  }

  /** Makes the agent store finished requests, if it has this identity. */
  flush(identity: string): Promise<FlushResult> {
    return this.#call<FlushResult>('POST', '/flush', { identity });
  }

  /** Deletes the recorded and held requests of the agent, if it has this identity. */
  wipe(identity: string): Promise<WipeResult> {
    return this.#call<WipeResult>('POST', '/wipe', { identity });
  }

  /** Creates a share link. */
  share(wanted: ShareRequest): Promise<Shared> {
    return this.#call<Shared>('POST', '/share', wanted);
  }

  /** Makes the agent apply revocations of share links, if it has this identity. */
  reloadShares(identity: string): Promise<ReloadResult> {
    return this.#call<ReloadResult>('POST', '/shares', { identity });
  }

  /** Starts the shutdown; `logs` ends when it is complete. */
  stop(): Promise<{ pid: number }> {
    return this.#call<{ pid: number }>('POST', '/stop');
  }

  /** Recent entries; with `follow` also new ones, until the agent ends or `signal` aborts. */
  logs(options: LogsOptions): AsyncGenerator<Entry> {
    return this.#entries('/logs', options);
  }

  /** Requests of visitors, recent and new ones like `logs`. */
  access(options: LogsOptions): AsyncGenerator<AccessEntry> {
    return this.#entries('/access', options);
  }

  async *#entries<T>(path: string, options: LogsOptions): AsyncGenerator<T> {
    const response = await this.#send(
      'GET',
      options.follow ? `${path}?follow=1` : path,
      undefined,
      options.signal,
    );
    options.onRecent?.(Number(response.headers[RECENT_HEADER] ?? 0));
    const lines = createInterface({ input: response, crlfDelay: Infinity });
    // A broken connection emits no 'end', and readline would wait forever.
    response.once('close', () => lines.close());
    try {
      for await (const line of lines) yield JSON.parse(line) as T;
    } catch (error) {
      // A killed agent resets the connection: that is the end of its logs.
      if (options.signal?.aborted || systemCode(error) !== 'ECONNRESET') throw error;
    } finally {
      response.destroy();
    }
  }

  async #call<Result>(
    method: string,
    path: string,
    body?: object,
    timeoutMs = this.#timeoutMs,
  ): Promise<Result> {
    const response = await this.#send(method, path, body, AbortSignal.timeout(timeoutMs), timeoutMs);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch (error) {
      throw this.#failure(error);
    }
    const result: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (response.statusCode === 200 || response.statusCode === 202) return result as Result;
    throw errorOf(result as ErrorSummary);
  }

  #send(
    method: string,
    path: string,
    body?: object,
    signal?: AbortSignal,
    timeoutMs = this.#timeoutMs,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: this.#path,
        method,
        path,
        agent: false,
        ...(signal && { signal }),
      });
      // Covers the connection and the headers. Logs may be quiet for hours afterwards.
      const timer = setTimeout(() => outgoing.destroy(this.#timedOut()), timeoutMs);
      outgoing.once('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      outgoing.once('error', (error) => {
        clearTimeout(timer);
        reject(this.#failure(error));
      });
      outgoing.end(body && JSON.stringify(body));
    });
  }

  #failure(error: unknown): PortalError {
    if (error instanceof PortalError) return error;
    if ((error as Error).name === 'AbortError') return this.#timedOut();
    const code = systemCode(error);
    if (code === 'EACCES' || code === 'EPERM') {
      return new PortalError('not_running', `the agent at ${this.#path} belongs to another user`, {
        cause: error,
      });
    }
    return notRunning(this.#file, {
      cause: error,
      ...(this.#hint !== undefined && { hint: this.#hint }),
    });
  }

  #timedOut(): PortalError {
    const pid = readPid(this.#path);
    const end =
      pid === undefined ? 'If it does not recover, end its process' : `To end it, run: kill -KILL ${pid}`;
    return new PortalError(
      'timeout',
      `the running agent did not respond within ${this.#timeoutMs / 1000} s`,
      {
        hint: `It may be suspended or overloaded. ${end}`,
      },
    );
  }
}

/** The error if no agent listens. */
export const notRunning = (file: string | undefined, options: PortalErrorOptions): PortalError =>
  new PortalError('not_running', `no agent is running${file === undefined ? '' : ` for ${file}`}`, options);

/** What the search for agents does not find. */
export const NOT_VISIBLE = 'Agents of other users, or with another PORTAL_HOME, are not visible here.';

/** Reads the agent's process id from the file next to its socket; undefined without one. */
export function readPid(socket: string): number | undefined {
  const file = pidFileOf(socket);
  if (file === undefined) return undefined;
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || undefined;
  } catch {
    return undefined;
  }
}
