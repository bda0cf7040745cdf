import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { pageHeaders, readAssets, type Asset } from '../../lib/page-files.js';
import { listening } from '../../net/listen/listening.js';
import type { HeldStatus, LeaseStatus, RelayStatus } from '../status.js';
import { ApiError, InspectorApi, json } from './api.js';
import { Guard, LIVE_PROTOCOL } from './guard.js';
import { LivePage } from './live.js';
import type { Recorders } from './recorder.js';
import type { LiveMessage } from './wire.js';

const HOST = '127.0.0.1';
const HEAD_MS = 5_000;
const MAX_CONNECTIONS = 64;
/** Pages send only a close. */
const MAX_MESSAGE_BYTES = 1_024;
/** Interval for counters, which change without an event. */
const STATE_EVERY_MS = 1_000;

export interface InspectorOptions {
  readonly recorders: Recorders;
  /** Folder of the built page. */
  readonly webDir: string;
  /** If it is in use, any free port. */
  readonly port: number;
  readonly snapshot: () => {
    readonly leases: readonly LeaseStatus[];
    readonly relays: readonly RelayStatus[];
    readonly held?: readonly HeldStatus[];
  };
  readonly log: Logger;
}

export interface InspectorServer {
  /** Includes the token: everyone with the URL sees everything that was recorded. */
  readonly url: string;
  /** The requested port, if it was in use. */
  readonly askedPort?: number;
  /** Services, leases or relays changed. */
  changed(): void;
  close(): Promise<void>;
}

/** Serves the inspector's page, on the loopback only, to everyone with its URL. */
export async function startInspector(options: InspectorOptions): Promise<InspectorServer> {
  const assets = await readAssets(options.webDir);
  const server = createServer({
    headersTimeout: HEAD_MS,
    requestTimeout: 2 * HEAD_MS,
    maxHeaderSize: 16 * 1024,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const port = await listen(server, options.port);
  return new Inspector(server, port, assets, options);
}

class Inspector implements InspectorServer {
  readonly url: string;
  readonly askedPort?: number;
  readonly #server: Server;
  readonly #options: InspectorOptions;
  readonly #assets: ReadonlyMap<string, Asset>;
  readonly #guard: Guard;
  readonly #headers: Record<string, string>;
  readonly #api: InspectorApi;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: () => LIVE_PROTOCOL,
  });
  readonly #pages = new Set<LivePage>();
  #looking: NodeJS.Timeout | undefined;

  constructor(server: Server, port: number, assets: ReadonlyMap<string, Asset>, options: InspectorOptions) {
    this.#server = server;
    this.#options = options;
    this.#assets = assets;
    this.#guard = new Guard(port);
    this.#headers = pageHeaders({
      // Images come only from recorded bodies in memory.
      img: 'blob:',
      connect: `ws://127.0.0.1:${port} ws://localhost:${port}`,
    });
    // After `#`: browsers send the fragment to no server, and not as a referrer.
    this.url = `http://${HOST}:${port}/#${this.#guard.token}`;
    if (options.port !== 0 && options.port !== port) this.askedPort = options.port;
    this.#api = new InspectorApi(options.recorders);
    server.on('request', (request, response) => void this.#respond(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    server.on('clientError', (_error, socket) => void socket.destroy());
  }

  changed(): void {
    for (const page of this.#pages) page.stateChanged();
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    for (const page of this.#pages) page.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(this.#headers)) response.setHeader(name, value);
    try {
      await this.#route(request, response);
    } catch (error) {
      if (response.headersSent) return void response.destroy();
      if (error instanceof ApiError) return json(response, { error: error.message }, error.status);
      this.#options.log.warn({ err: error }, 'the inspector failed to respond');
      json(response, { error: 'the inspector failed' }, 500);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#guard.isOwnHost(request)) throw new ApiError(421, 'the inspector does not serve this host');
    const { url: target = '' } = request;
    // `//name/` would be parsed as another host.
    const url = target.startsWith('//') ? null : URL.parse(target, `http://${HOST}`);
    if (!url) throw new ApiError(404, 'page not found');
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    if (!url.pathname.startsWith('/api/')) {
      const asset = isReading ? this.#assets.get(url.pathname) : undefined;
      if (!asset) throw new ApiError(404, 'page not found');
      response.writeHead(200, { 'Content-Type': asset.type });
      return void response.end(asset.bytes);
    }
    if (!isReading && !this.#guard.isOwnOrigin(request))
      throw new ApiError(403, "only the inspector's page may request this");
    if (!this.#guard.hasToken(request)) throw new ApiError(401, 'the token belongs to another agent');
    await this.#api.respond(request, response, url);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const status = this.#refusalOf(request);
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
    this.#sockets.handleUpgrade(request, socket, head, (live) => {
      const page = new LivePage(live, {
        store: this.#options.recorders.store,
        state: () => JSON.stringify(this.#state()),
      });
      this.#pages.add(page);
      this.#looking ??= setInterval(() => this.changed(), STATE_EVERY_MS);
      live.once('close', () => {
        this.#pages.delete(page);
        if (this.#pages.size > 0) return;
        clearInterval(this.#looking);
        this.#looking = undefined;
      });
    });
  }

  #refusalOf(request: IncomingMessage): string | undefined {
    if (!this.#guard.isOwnHost(request)) return '421 Misdirected Request';
    if (!this.#guard.isOwnOrigin(request)) return '403 Forbidden';
    if (request.url !== '/api/live') return '404 Not Found';
    if (!this.#guard.hasLiveToken(request)) return '401 Unauthorized';
    const { maxPages } = this.#options.recorders.store.limits;
    return this.#pages.size >= maxPages ? '503 Service Unavailable' : undefined;
  }

  #state(): LiveMessage {
    const { leases, relays, held } = this.#options.snapshot();
    const { recorders } = this.#options;
    const { history } = recorders;
    const inspected = recorders.services();
    return {
      type: 'state',
      leases,
      relays,
      inspected,
      ...(held && { held }),
      ...(history && { history: { lost: history.lost } }),
    };
  }
}

async function listen(server: Server, port: number): Promise<number> {
  const attempt = (at: number): Promise<void> => listening(server, () => server.listen(at, HOST));
  try {
    await attempt(port);
  } catch (error) {
    const code = systemCode(error);
    if (port === 0 || (code !== 'EADDRINUSE' && code !== 'EACCES')) throw error;
    await attempt(0);
  }
  return (server.address() as AddressInfo).port;
}
