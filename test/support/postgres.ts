import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { delay } from '../../src/lib/wait.js';
import { ensureBinary } from './debian.js';

const run = promisify(execFile);
const START_MS = 60_000;
const STOP_MS = 20_000;

/** PostgreSQL does not run as root. */
const AS_NOBODY = ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups'];

export interface PostgresOptions {
  /** Whether a commit survives a crash of the machine. Slower. Default: false. */
  readonly durable?: boolean;
  /** A prefix that runs it on another machine, where it also listens for users with a password. */
  readonly within?: readonly string[];
  /** Further settings of the server. Read when it starts. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A PostgreSQL server for the tests of a file, with a Unix socket in a folder of its own. */
export class PostgresServer {
  readonly #durable: boolean;
  readonly #within: readonly string[];
  readonly #settings: Readonly<Record<string, string>>;
  #folder = '';
  #programs = { initdb: '', postgres: '' };
  #process: ChildProcess | undefined;
  #databases = 0;

  constructor({ durable = false, within = [], settings = {} }: PostgresOptions) {
    this.#settings = settings;
    this.#durable = durable;
    this.#within = within;
  }

  /** Where it listens, for PostgreSQL's clients. */
  get folder(): string {
    return this.#folder;
  }

  /** Creates the server. Returns the reason if that is impossible here. */
  async create(): Promise<string | undefined> {
    const found = await Promise.all((['initdb', 'postgres', 'setpriv'] as const).map(ensureBinary));
    const skip = found.find((one) => 'skip' in one);
    if (skip) return skip.skip;
    const [initdb, postgres] = found.map((one) => ('path' in one ? one.path : ''));
    this.#programs = { initdb: initdb!, postgres: postgres! };
    this.#folder = await mkdtemp(join(tmpdir(), 'portal-pg-'));
    await chmod(this.#folder, 0o777);
    const args = ['-D', this.#data, '-U', 'portal', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
    const [program, ...rest] = this.#command(this.#programs.initdb, args);
    await run(program!, rest, { timeout: START_MS, cwd: '/' });
    if (this.#isRemote) await appendFile(join(this.#data, 'pg_hba.conf'), 'host all all all scram-sha-256\n');
    await this.start();
    return undefined;
  }

  async start(): Promise<void> {
    const settings = {
      listen_addresses: this.#isRemote ? '*' : '',
      unix_socket_directories: this.#folder,
      fsync: this.#durable ? 'on' : 'off',
      shared_buffers: '32MB',
      max_connections: '200',
      log_min_messages: 'fatal',
      ...this.#settings,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const [program, ...rest] = this.#command(this.#programs.postgres, ['-D', this.#data, ...args]);
    const child = spawn(program!, rest, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)));
    this.#process = child;
    const giveUpAt = performance.now() + START_MS;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > giveUpAt)
        throw new Error(`postgres did not start: ${said}`);
      await delay(20);
    }
  }

  /** SIGINT ends all sessions and stops, SIGQUIT stops as if it had crashed. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const killing = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(killing);
  }

  async remove(): Promise<void> {
    await this.stop('SIGQUIT');
    if (this.#folder !== '') await rm(this.#folder, { recursive: true, force: true });
  }

  /** The URL of a new database. */
  async database(): Promise<string> {
    const name = `test${++this.#databases}`;
    await this.sql(`CREATE DATABASE ${name}`);
    return this.url(name);
  }

  url(database: string, folder = this.#folder): string {
    return `postgres://portal@localhost/${database}?host=${encodeURIComponent(folder)}`;
  }

  /** Executes a statement, in the database of `url`. */
  async sql(text: string, url = this.url('postgres')): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: START_MS });
    // The server may stop.
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  get #isRemote(): boolean {
    return this.#within.length > 0;
  }

  get #data(): string {
    return join(this.#folder, 'data');
  }

  async #answers(): Promise<boolean> {
    return this.sql('SELECT 1').then(
      () => true,
      () => false,
    );
  }

  #command(program: string, args: readonly string[]): string[] {
    return [...this.#within, ...asDatabaseUser(program, args)];
  }
}

/** A command that does not run as root. */
export function asDatabaseUser(program: string, args: readonly string[]): string[] {
  return [...(process.getuid?.() === 0 ? AS_NOBODY : []), program, ...args];
}

/** A server that runs for the tests of this file or `describe`. Skips them, with the reason, if PostgreSQL is not installed. */
export function usePostgres(options: PostgresOptions = {}): PostgresServer {
  const server = new PostgresServer(options);
  let skip: string | undefined;
  beforeAll(async () => {
    skip = await server.create();
  });
  beforeEach((context) => {
    if (skip !== undefined) context.skip(skip);
  });
  afterAll(() => server.remove());
  return server;
}
