import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './folder.js';
import type { PostgresServer } from './postgres.js';

/** PostgreSQL's clients look for a socket with this name. */
const SOCKET = '.s.PGSQL.5432';

/** The path of one node to the database, which can fail while the database works for others. */
export class PostgresPath {
  readonly folder: string;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isFrozen = false;

  private constructor(folder: string, to: string) {
    this.folder = folder;
    this.#server = createServer((near) => this.#forward(near, connect(join(to, SOCKET))));
  }

  static async open(server: PostgresServer): Promise<PostgresPath> {
    const folder = await temporaryFolder();
    const path = new PostgresPath(folder, server.folder);
    path.#server.listen(join(folder, SOCKET));
    await once(path.#server, 'listening');
    onTestFinished(() => path.#close());
    return path;
  }

  /** From now on nothing arrives, and no connection ends. */
  freeze(): void {
    this.#isFrozen = true;
    for (const [near, far] of this.#pairs) {
      near.unpipe().pause();
      far.unpipe().pause();
    }
  }

  /** Ends the frozen connections, and forwards new ones. */
  restore(): void {
    this.#isFrozen = false;
    this.#end();
  }

  #forward(near: Socket, far: Socket): void {
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const one of pair)
      one
        .on('error', () => undefined)
        .on('close', () => {
          this.#pairs.delete(pair);
          for (const each of pair) each.destroy();
        });
    if (this.#isFrozen) return;
    near.pipe(far);
    far.pipe(near);
  }

  #end(): void {
    for (const pair of this.#pairs) for (const one of pair) one.destroy();
  }

  async #close(): Promise<void> {
    this.#end();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
