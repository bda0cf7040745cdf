import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { RequestRow } from '../../agent/inspect/wire.js';
import type { Desired } from '../../config/desired.js';
import { PortalError, asPortalError } from '../../lib/errors.js';
import { readBounded } from '../../lib/read-bounded.js';
import type { AccessEntry } from '../../agent/access-log.js';
import type { AgentStatus, Readiness } from '../../reconcile/events.js';
import type { Survey } from '../../reconcile/candidates/survey.js';
import type { Shared, ShareRequest } from '../../reconcile/local/sharing.js';
import type { Action } from '../../reconcile/plan.js';
import { summarizeError } from '../failure.js';
import { pidFileOf } from './address.js';
import { claimSocket } from './claim.js';
import { RECENT_HEADER, type History } from './history.js';

/** A configuration with thousands of services is far smaller. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** A follower with more unread bytes is disconnected. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
/** How long followers may read the last entries after a stop. */
const FLUSH_MS = 500;

/** The calls of the local socket. Only its owner can connect, so calls are not authenticated. */
export interface ControlHandlers {
  status(): Promise<AgentStatus>;
  /** The known state, without new checks. */
  readiness(): Readiness;
  plan(desired: Desired): Action[];
  relays(): Promise<Survey>;
  /** Proves that visitors reach every service, and returns the status. */
  prove(): Promise<AgentStatus>;
  /** Sends a recorded request to its service again. */
  replay(id: number): Promise<RequestRow>;
  /** Stores finished requests now, if the agent has this identity. */
  flush(identity: string): Promise<FlushResult>;
  /** Deletes recorded and held requests, if the agent has this identity. */
  wipe(identity: string): Promise<WipeResult>;
  /** Creates a share link. */
  share(request: ShareRequest): Promise<Shared>;
  /** Applies revocations of share links, if the agent has this identity. */
  reloadShares(identity: string): Promise<ReloadResult>;
  /** Starts the shutdown; the process ends soon after. */
  stop(): void;
  readonly history: History;
  /** The requests of visitors. */
  readonly access: History<AccessEntry>;
}

export interface FlushResult {
  /** Whether the agent has this identity and records the requests of a service. */
  readonly isRecording: boolean;
}

export interface WipeResult {
  readonly isWiped: boolean;
  /** The history file that the agent continues to write. */
  readonly kept?: string;
  /** How many held requests it has deleted. */
  readonly held?: number;
}

export interface ReloadResult {
  readonly isReloaded: boolean;
}

export interface ControlServer {
  close(): Promise<void>;
  /** Removes the files synchronously, for a process that exits without closing. */
  abandon(): void;
}

/** Listens at `path`; undefined if an agent already listens there. */
export async function startControl(
  path: string,
  handlers: ControlHandlers,
): Promise<ControlServer | undefined> {
  const followers = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    route(request, response, handlers, followers).catch((error: unknown) => responseError(response, error));
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  if ((await claimSocket(server, path)) === 'taken') return undefined;
  const pidFile = pidFileOf(path);
  // Ignore errors: the file only improves a message.
  if (pidFile !== undefined)
    await writeFile(pidFile, `${process.pid}\n`, { mode: 0o600 }).catch(() => undefined);
  // Before the socket closes: afterwards the file may belong to the next agent.
  const removePid = (): void => {
    if (pidFile !== undefined) rmSync(pidFile, { force: true });
  };
  return {
    close: () => {
      removePid();
      return closeServer(server, followers);
    },
    abandon: () => {
      if (!server.listening) return;
      removePid();
      // A pipe disappears with its process.
      if (pidFile !== undefined) rmSync(path, { force: true });
    },
  };
}

/** Sends followers the last entries, and disconnects followers that read too slowly. */
function closeServer(server: Server, followers: ReadonlySet<ServerResponse>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), FLUSH_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    for (const follower of followers) follower.end();
    server.closeIdleConnections();
  });
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ControlHandlers,
  followers: Set<ServerResponse>,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://agent');
  const follow = searchParams.get('follow') === '1' ? followers : undefined;
  switch (`${request.method} ${pathname}`) {
    case 'GET /status':
      return respond(response, 200, await handlers.status());
    case 'GET /ready':
      return respond(response, 200, handlers.readiness());
    case 'GET /relays':
      return respond(response, 200, await handlers.relays());
    case 'POST /plan':
      return respond(response, 200, handlers.plan(await readDesired(request)));
    case 'POST /prove':
      return respond(response, 200, await handlers.prove());
    case 'POST /replay':
      return respond(response, 200, await handlers.replay(Number((await readFields(request))['id'])));
    case 'POST /flush':
      return respond(response, 200, await handlers.flush(await identityIn(request)));
    case 'POST /wipe':
      return respond(response, 200, await handlers.wipe(await identityIn(request)));
    case 'POST /share':
      return respond(response, 200, await handlers.share(shareRequest(await readFields(request))));
    case 'POST /shares':
      return respond(response, 200, await handlers.reloadShares(await identityIn(request)));
    case 'GET /logs':
      return sendLogs(response, handlers.history, follow);
    case 'GET /access':
      return sendLogs(response, handlers.access, follow);
    case 'POST /stop':
      respond(response, 202, { pid: process.pid });
      return handlers.stop();
    default:
      return respond(response, 404, {
        code: 'usage',
        message: `no such call: ${request.method} ${pathname}`,
      });
  }
}

function sendLogs<T extends { readonly event: string }>(
  response: ServerResponse,
  history: History<T>,
  followers?: Set<ServerResponse>,
): void {
  const recent = history.recent();
  response.writeHead(200, { 'content-type': 'application/x-ndjson', [RECENT_HEADER]: recent.length });
  for (const entry of recent) response.write(`${JSON.stringify(entry)}\n`);
  if (!followers) {
    response.end();
    return;
  }
  // Without an entry, the headers would stay in the buffer.
  response.flushHeaders();
  const stop = history.listen((entry) => {
    // A write after the end would be an error that ends the process.
    if (response.writableEnded) return;
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
    else response.write(`${JSON.stringify(entry)}\n`);
  });
  followers.add(response);
  response.once('close', () => {
    stop();
    followers.delete(response);
  });
}

const identityIn = async (request: IncomingMessage): Promise<string> =>
  String((await readFields(request))['identity']);

async function readFields(request: IncomingMessage): Promise<Record<string, unknown>> {
  return { ...((await readJson(request)) as object | null) };
}

const shareRequest = ({ service, path, until }: Record<string, unknown>): ShareRequest => ({
  service: String(service),
  path: String(path),
  until: Number(until),
});

async function readDesired(request: IncomingMessage): Promise<Desired> {
  const body = await readJson(request);
  if (!isDesired(body)) throw new PortalError('usage', 'the body is not a configuration');
  return body;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const tooLong = (): PortalError =>
    new PortalError('usage', `the configuration is larger than ${MAX_BODY_BYTES} bytes`);
  const body = await readBounded(request, MAX_BODY_BYTES, tooLong);
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new PortalError('usage', 'the body is not JSON', { cause: error });
  }
}

/** A rough check is enough, because the sender is this same program. */
function isDesired(value: unknown): value is Desired {
  const { relays, services } = (value ?? {}) as Partial<Desired>;
  return Array.isArray(relays) && Array.isArray(services);
}

function respond(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function responseError(response: ServerResponse, thrown: unknown): void {
  const error = asPortalError(thrown);
  if (response.headersSent) response.destroy();
  else respond(response, error.code === 'usage' ? 400 : 500, summarizeError(error));
}
