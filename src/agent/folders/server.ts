import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { relative, sep } from 'node:path';
import send from 'send';
import { confinedPath } from '../../lib/confined.js';
import { realPath } from '../../lib/real-path.js';
import { listening } from '../../net/listen/listening.js';
import { findFile } from './find-file.js';

/** Serves the files of a folder over HTTP, on a loopback port of this process. */
export class FolderServer {
  readonly #server: Server;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => fail(response, 500));
    });
  }

  /** @param folder absolute path. It may not exist yet */
  static async start(folder: string): Promise<FolderServer> {
    const server = new FolderServer(folder);
    await listening(server.#server, () => server.#server.listen(0, '127.0.0.1'));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return fail(response, 405);
    }
    const [, pathname = '', search = ''] = /^([^?#]*)([^#]*)/.exec(request.url ?? '') ?? [];
    const path = decoded(pathname);
    // The folder itself may be a link, which changes while the agent runs.
    const root = await realPath(await confinedPath(this.#folder));
    const found = path === undefined ? { kind: 'nothing' as const } : await findFile(root, path);
    if (found.kind === 'nothing') return fail(response, 404);
    if (found.kind === 'folder') {
      // Several slashes would be the name of a host.
      response.setHeader('Location', `${pathname.replace(/^\/+/, '/')}/${search}`);
      return fail(response, 301);
    }
    if (found.isMissing) response.statusCode = 404;
    const name = relative(root, found.file).split(sep).map(encodeURIComponent).join('/');
    // `findFile` has checked the path, including its hidden parts.
    send(request, `/${name}`, { root, index: false, dotfiles: 'allow' })
      .on('error', ({ status }: { status?: number }) => fail(response, status ?? 500))
      .on('directory', () => fail(response, 404))
      .pipe(response);
  }
}

/** Undefined for a malformed path. */
function decoded(pathname: string): string | undefined {
  if (!pathname.startsWith('/')) return undefined;
  try {
    return decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
}

const TEXTS: Readonly<Record<number, string>> = {
  301: 'This page has moved.',
  404: 'This page does not exist.',
  405: 'This folder can only be read.',
  416: 'The file is shorter than that.',
};

function fail(response: ServerResponse, status: number): void {
  if (response.headersSent) return void response.destroy();
  const body = `${TEXTS[status] ?? 'The folder cannot be read.'}\n`;
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length });
  response.end(body);
}
