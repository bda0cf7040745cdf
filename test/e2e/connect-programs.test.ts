import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { programFor } from '../support/debian.js';
import { openSsh } from '../support/openssh.js';
import { usePostgres } from '../support/postgres.js';
import { redis } from '../support/redis.js';
import { agent, desired, relay, service } from '../support/world.js';
import { shellQuote } from '../../src/lib/shell-quote.js';
import { Person, PROCESSES } from './cli-support.js';

/** Real servers and their own clients, over `portal connect`. */

const run = promisify(execFile);

/** `target`, which another person publishes: how the user of `person` connects. */
async function published(target: string) {
  const person = await Person.create(PROCESSES);
  const { stdout } = await person.run(['identity', 'new', '--json']);
  const { address } = JSON.parse(stdout) as { address: string };
  const at = await relay();
  const owner = await agent();
  const spec = service('db', target, { mode: 'auto', access: { identities: [address] }, alpn: 'auto' });
  await owner.runner.apply(desired([at.spec], spec));
  await owner.event('lease', ({ phase }) => phase === 'ready');
  return { person, args: ['connect', `db.localhost:${at.port}`, '--identity', owner.identity.address] };
}

/** A local port for `target`. */
async function connected(target: string): Promise<string> {
  const { person, args } = await published(target);
  return String((await person.start([...args, '--json']).event('connected'))['port']);
}

it('Redis works with redis-cli: commands, a pipeline and a large value', async (context) => {
  const [server, client] = [
    await programFor(context, 'redis-server'),
    await programFor(context, 'redis-cli'),
  ];
  const port = await connected(await redis(server));
  const cli = async (...args: string[]): Promise<string> =>
    (await run(client, ['-h', '127.0.0.1', '-p', port, ...args], { maxBuffer: 1e8 })).stdout.trim();
  expect(await cli('ping')).toBe('PONG');
  expect(await cli('eval', 'return string.rep("x", 3000000)', '0')).toHaveLength(3_000_000);
  expect(await Promise.all(['a', 'b', 'c'].map((key) => cli('set', key, key)))).toEqual(['OK', 'OK', 'OK']);
  expect(await cli('dbsize')).toBe('3');
});

describe('PostgreSQL', () => {
  const server = usePostgres();

  it('works with psql: TLS is not needed, results of any size arrive, and sessions are separate', async (context) => {
    const psql = await programFor(context, 'psql');
    const port = await connected(`unix:${server.folder}/.s.PGSQL.5432`);
    const query = async (sql: string): Promise<string> => {
      const args = ['-h', '127.0.0.1', '-p', port, '-U', 'portal', '-d', 'postgres', '-Atc', sql];
      return (await run(psql, args, { maxBuffer: 1e8 })).stdout.trim();
    };
    expect(await query('select 40 + 2')).toBe('42');
    expect((await query('select * from generate_series(1, 200000)')).split('\n')).toHaveLength(200_000);
    const sessions = await Promise.all([1, 2, 3].map(() => query('select pg_backend_pid()')));
    expect(new Set(sessions).size).toBe(3);
  });
});

describe('OpenSSH', () => {
  it('works through a local port, with results of any size', async (context) => {
    const { port, ssh } = await openSsh(context);
    const to = ['-p', await connected(`127.0.0.1:${port}`)];
    expect(await ssh(to, 'echo "hello from $SSH_CONNECTION"')).toMatch(/^hello from 127\.0\.0\.1 /);
    expect(await ssh(to, 'head -c 3000000 /dev/zero')).toHaveLength(3_000_000);
  });

  it('works with ProxyCommand, which needs no port', async (context) => {
    const { port, ssh } = await openSsh(context);
    const { person, args } = await published(`127.0.0.1:${port}`);
    const command = [...PROCESSES, ...args, '--stdio'].map(shellQuote).join(' ');
    const to = ['-o', `ProxyCommand=${command}`];
    expect(await ssh(to, 'echo hello', { PORTAL_HOME: person.home })).toBe('hello\n');
  });
});
