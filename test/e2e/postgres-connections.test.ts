import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { claimOf } from '../../src/relay/directory/contract.js';
import { programFor } from '../support/debian.js';
import { temporaryFolder } from '../support/folder.js';
import { silent } from '../../src/lib/logger.js';
import { Database } from '../../src/relay/postgres/database.js';
import { postgresNode } from '../support/postgres-node.js';
import { asDatabaseUser, usePostgres, type PostgresServer } from '../support/postgres.js';

/** The ways in which operators connect nodes to their database. */

/** The user and group that runs the server if the tests run as root. */
const NOBODY = 65_534;
const SOCKET = '.s.PGSQL.5432';

/** What a pooler must ignore, since it does not pass it to the database. */
const TIMEOUTS = 'statement_timeout,lock_timeout,idle_in_transaction_session_timeout';

/** A URL of the database that leads through PgBouncer. */
async function pooled(program: string, server: PostgresServer, settings: Readonly<Record<string, string>>) {
  const folder = await temporaryFolder();
  await chmod(folder, 0o777);
  const lines = Object.entries({
    listen_port: '5432',
    unix_socket_dir: folder,
    auth_type: 'any',
    ...settings,
  }).map(([name, value]) => `${name} = ${value}`);
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(
    file,
    `[databases]\n* = host='${server.folder}' user=portal\n[pgbouncer]\n${lines.join('\n')}\n`,
  );
  const [command, ...args] = asDatabaseUser(program, [file]);
  const child = spawn(command!, args, { stdio: 'ignore', cwd: '/' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const { pathname } = new URL(await server.database());
  const url = server.url(pathname.slice(1), folder);
  await expect
    .poll(() => server.sql('SELECT 1', url).then(() => 'up', String), { timeout: 20_000 })
    .toBe('up');
  return url;
}

describe('a node that connects through PgBouncer', () => {
  const server = usePostgres();

  let program = '';
  beforeEach(async (ctx) => void (program = await programFor(ctx, 'pgbouncer')));

  it('works in its mode `session`', async () => {
    const url = await pooled(program, server, { pool_mode: 'session', ignore_startup_parameters: TIMEOUTS });
    const [a, b] = [await postgresNode(url), await postgresNode(url)];
    const record = await a.directory.claim(claimOf('web', '0xA'));
    await expect.poll(() => b.directory.lookup(record.place)).toEqual(record);
  });

  it.each([
    [{ pool_mode: 'transaction', ignore_startup_parameters: TIMEOUTS }, 'another connection'],
    [{ pool_mode: 'transaction' }, 'startup parameter'],
  ])('reports that it needs PostgreSQL itself with %o', async (settings, message) => {
    const url = await pooled(program, server, settings);
    await expect(postgresNode(url)).rejects.toMatchObject({
      code: 'cluster_unavailable',
      message: expect.stringContaining(message),
      hint: expect.stringContaining('Connect to PostgreSQL itself'),
    });
  });
});

describe('a node that connects over TLS', () => {
  const HOST = '127.0.0.77';
  const settings: Record<string, string> = { listen_addresses: HOST, ssl: 'on' };
  let caFile = '';
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portal-pg-tls-'));
    await chmod(folder, 0o755);
    const ca = await openLocalCa(join(folder, 'ca'));
    const { cert, key } = await ca.issue([HOST]);
    const files = { ssl_cert_file: join(folder, 'cert.pem'), ssl_key_file: join(folder, 'key.pem') };
    await writeFile(files.ssl_cert_file, cert);
    await writeFile(files.ssl_key_file, key, { mode: 0o600 });
    if (process.getuid?.() === 0) await chown(files.ssl_key_file, NOBODY, NOBODY);
    Object.assign(settings, files);
    caFile = ca.certificateFile;
  });
  const server = usePostgres({ settings });
  afterAll(() => rm(join(caFile, '../..'), { recursive: true, force: true }));

  const urlWith = async (tls: Readonly<Record<string, string>>): Promise<string> => {
    const { pathname } = new URL(await server.database());
    return `postgres://portal@${HOST}${pathname}?${new URLSearchParams(tls).toString()}`;
  };

  it('verifies the certificate of the database with `sslmode=verify-full` and `sslrootcert`', async () => {
    const url = await urlWith({ sslmode: 'verify-full', sslrootcert: caFile });
    const [a, b] = [await postgresNode(url), await postgresNode(url)];
    const record = await a.directory.claim(claimOf('web', '0xA'));
    await expect.poll(() => b.directory.lookup(record.place)).toEqual(record);
    const encrypted = await server.sql('SELECT count(*) FROM pg_stat_ssl WHERE ssl');
    expect(Number(encrypted[0]!['count'])).toBeGreaterThan(1);
  });

  it.each(['require', 'verify-ca', 'verify-full'])(
    'rejects an unknown certificate with `sslmode=%s`',
    async (sslmode) => {
      await expect(postgresNode(await urlWith({ sslmode }))).rejects.toMatchObject({
        code: 'cluster_unavailable',
        message: expect.stringContaining('certificate'),
      });
    },
  );
});

describe('nodes whose database fails over to a standby', () => {
  const server = usePostgres();
  let sockets = '';
  let standby: ChildProcess | undefined;

  beforeEach(async (ctx) => {
    const [backup, postgres] = [await programFor(ctx, 'pg_basebackup'), await programFor(ctx, 'postgres')];
    const folder = await temporaryFolder();
    await chmod(folder, 0o777);
    const data = join(folder, 'data');
    sockets = join(folder, 'sockets');
    await mkdir(sockets);
    await chmod(sockets, 0o777);
    const from = ['-h', server.folder, '-U', 'portal', '-D', data, '-R', '-X', 'stream', '--checkpoint=fast'];
    const [copy, ...copyArgs] = asDatabaseUser(backup, from);
    await promisify(execFile)(copy!, copyArgs, { cwd: '/' });
    const settings = {
      max_connections: '200',
      listen_addresses: '',
      unix_socket_directories: sockets,
      fsync: 'off',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const [run, ...rest] = asDatabaseUser(postgres, ['-D', data, ...args]);
    standby = spawn(run!, rest, { stdio: 'ignore', cwd: '/' });
  });
  afterEach(async () => {
    standby?.kill('SIGKILL');
    await server.start();
  });

  it.each(['that the URL has, too', 'that a name leads to'])(
    'go on with the leases and names that it has, at the host %s',
    async (how) => {
      const follows = how.includes('name');
      // A name that follows the primary, as DNS or a virtual IP address does.
      const name = await temporaryFolder();
      const follow = (to: string) => symlink(join(to, SOCKET), join(name, SOCKET));
      await follow(server.folder);
      const { pathname } = new URL(await server.database());
      const database = pathname.slice(1);
      const url = server.url(database, follows ? name : `${sockets},${server.folder}`);
      // Before it has the new database, the standby rejects connections.
      const replicated = (text: string) => server.sql(text, server.url(database, sockets)).catch(() => []);
      await expect.poll(() => replicated('SELECT 1'), { timeout: 30_000 }).toHaveLength(1);

      const nodeOf = () => postgresNode(url, { outageAt: () => performance.now() });
      const [a, b] = [await nodeOf(), await nodeOf()];
      const record = await a.directory.claim(claimOf('web', '0xA'));
      await a.store.reserve('web', '0xA', Date.now());
      await expect
        .poll(() => replicated('SELECT name FROM portal.reservations'), { timeout: 30_000 })
        .toHaveLength(1);

      await server.stop('SIGQUIT');
      await expect.poll(() => [a.degraded(), b.degraded()]).not.toContain(undefined);
      expect(b.directory.lookup(record.place)).toEqual(record);
      await server.sql('SELECT pg_promote()', server.url(database, sockets));
      if (follows) await rm(join(name, SOCKET)).then(() => follow(sockets));
      await expect
        .poll(() => b.directory.claim(claimOf('api', '0xB')).then(() => 'claimed', String), {
          timeout: 30_000,
        })
        .toBe('claimed');
      await expect.poll(() => a.directory.lookup('api.relay.test')?.node).toBe(b.node);
      const again = await b.directory.claim(claimOf('web', '0xA'));
      expect(again.epoch).toBeGreaterThan(record.epoch);
      expect(await b.store.reservation('web')).toMatchObject({ address: '0xA' });
    },
  );
});

describe('the connections of a node', () => {
  const server = usePostgres();

  it('may end between two statements of a transaction', async () => {
    const url = await server.database();
    const database = new Database({ url, log: silent });
    onTestFinished(() => database.close());
    const transaction = database.transaction(async (query) => {
      const [row] = await query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await server.sql(`SELECT pg_terminate_backend(${row!.pid}, 5000)`, url);
      // Its last message arrives before the response to a later statement.
      await server.sql('SELECT 1', url);
      await new Promise(setImmediate);
      await query('SELECT 1');
    });
    await expect(transaction).rejects.toMatchObject({ code: 'relay_busy' });
    const works = () =>
      database.query('SELECT 1').then(
        () => true,
        () => false,
      );
    await expect.poll(works).toBe(true);
  });
});
