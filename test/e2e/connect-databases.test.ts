import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { programFor } from '../support/debian.js';
import { usePostgres } from '../support/postgres.js';
import { redis } from '../support/redis.js';
import { agent, desired, relay, service } from '../support/world.js';
import { Person, PROCESSES } from './cli-support.js';

/** Real databases and their own clients, over `portal connect`. */

const run = promisify(execFile);

/** A local port for `target`, which another person publishes. */
async function connected(target: string): Promise<string> {
  const person = await Person.create(PROCESSES);
  const { stdout } = await person.run(['identity', 'new', '--json']);
  const { address } = JSON.parse(stdout) as { address: string };
  const at = await relay();
  const owner = await agent();
  const spec = service('db', target, { mode: 'auto', access: { identities: [address] }, alpn: 'auto' });
  await owner.runner.apply(desired([at.spec], spec));
  await owner.event('lease', ({ phase }) => phase === 'ready');
  const args = ['connect', `db.localhost:${at.port}`, '--identity', owner.identity.address, '--json'];
  return String((await person.start(args).event('connected'))['port']);
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
