import { pause } from '../../bench/lib/wait.mjs';
import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { output } from '../../bench/lib/children.mjs';
import { postgresPrograms } from '../../bench/lib/postgres.mjs';
import { Program } from '../lib/program.mjs';

/** One PostgreSQL server on a machine of its own. The harness reaches it through a Unix socket in the machine's folder. */

const PORT = 5432;
const COMMAND_MS = 60_000;
const START_MS = 30_000;
const QUERY_MS = 10_000;
/** Debian's nobody and nogroup: PostgreSQL does not run as root. */
const [UID, GID] = [65_534, 65_534];
const AS_NOBODY = [
  'setpriv',
  '--reuid',
  `${UID}`,
  '--regid',
  `${GID}`,
  '--clear-groups',
  '--pdeathsig',
  'KILL',
];
const SETTINGS = {
  listen_addresses: '*',
  // The files are in memory or survive the harness: no fault here cuts the power of the machine.
  fsync: 'off',
  shared_buffers: '16MB',
  max_connections: '120',
  max_wal_senders: '4',
  wal_level: 'replica',
  hot_standby: 'on',
  wal_receiver_status_interval: '1s',
  wal_sender_timeout: '5s',
  wal_receiver_timeout: '5s',
  wal_retrieve_retry_interval: '500ms',
  log_min_messages: 'warning',
  restart_after_crash: 'on',
  tcp_keepalives_idle: '5',
  tcp_keepalives_interval: '2',
  tcp_keepalives_count: '3',
};

export class PostgresServer {
  #program;

  constructor(machine) {
    this.machine = machine;
    this.name = machine.name;
  }

  get isUp() {
    return this.#program?.isUp === true;
  }

  get address() {
    return `${this.machine.address}:${PORT}`;
  }

  /** Creates an empty database. Any user of this network may connect and replicate. */
  async create() {
    await this.#run('initdb', '-D', this.#data, '-U', 'portal', '-A', 'trust', '--no-locale', '--no-sync');
    const rules = ['local all all trust', 'host all all all trust', 'host replication all all trust'];
    this.#write('pg_hba.conf', rules.join('\n'));
    this.#write('chaos.conf', '');
    const settings = Object.entries({ ...SETTINGS, unix_socket_directories: this.#home });
    const lines = settings.map(([name, value]) => `${name} = '${value}'`);
    this.#write('postgresql.conf', [...lines, "include_if_exists 'chaos.conf'"].join('\n'));
  }

  /** Becomes a standby of `primary`, with a copy of its data. */
  async copy(primary) {
    rmSync(this.#data, { recursive: true, force: true });
    const from = `host=${primary.machine.address} port=${PORT} user=portal application_name=${this.name} connect_timeout=2`;
    await this.#run(
      'pg_basebackup',
      '-D',
      this.#data,
      '-R',
      '-X',
      'stream',
      '-c',
      'fast',
      '--no-sync',
      '-d',
      from,
    );
    this.#write('chaos.conf', `unix_socket_directories = '${this.#home}'`);
  }

  async start() {
    for (const end = Date.now() + START_MS; ;) {
      const command = [...AS_NOBODY, join(postgresPrograms(), 'postgres'), '-D', this.#data];
      this.#program = new Program(this.name, this.machine.within(...command), {
        cwd: '/',
        keep: join(this.machine.folder, 'postgres.log'),
      });
      while (this.#program.isUp && Date.now() < end) {
        if (await this.sql('SELECT 1').catch(() => undefined)) return;
        await pause(50);
      }
      // Processes of a killed server need a moment to end.
      if (Date.now() > end) throw new Error(`${this.name} did not start: ${this.#program.said.join(' | ')}`);
      await pause(200);
    }
  }

  /** SIGINT ends all sessions in order, SIGQUIT at once, SIGKILL leaves that to its processes. */
  async stop(signal = 'SIGINT') {
    this.#program.signal(signal);
    const timer = setTimeout(() => this.#program.signal('SIGKILL'), START_MS);
    await this.#program.ended;
    clearTimeout(timer);
  }

  /** Whether each commit waits until a standby has it. */
  async waitForStandby(waits) {
    this.#write(
      'chaos.conf',
      `unix_socket_directories = '${this.#home}'\nsynchronous_standby_names = '${waits ? '*' : ''}'`,
    );
    await this.sql('SELECT pg_reload_conf()');
  }

  async promote() {
    await this.sql('SELECT pg_promote(true, 20)', [], 25_000);
  }

  /** The rows of a statement. */
  async sql(text, values = [], ms = QUERY_MS) {
    const client = new Client({
      host: this.#home,
      user: 'portal',
      database: 'postgres',
      connectionTimeoutMillis: ms,
      query_timeout: ms,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query(text, values)).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  get #home() {
    const folder = join(this.machine.folder, 'pg');
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o700);
    chownSync(folder, UID, GID);
    return folder;
  }

  get #data() {
    return join(this.#home, 'data');
  }

  #write(file, text) {
    writeFileSync(join(this.#data, file), `${text}\n`);
    chownSync(join(this.#data, file), UID, GID);
  }

  async #run(program, ...args) {
    const [file, ...rest] = this.machine.within(...AS_NOBODY, join(postgresPrograms(), program), ...args);
    await output(file, rest, { ms: COMMAND_MS });
  }
}
