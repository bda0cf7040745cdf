import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { silent } from '../../lib/logger.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { clusterPlace, type ClusterOptions } from './cluster.js';

const SECRET = 'hunter2';
const URL_WITH_SECRET = `postgres://portal:${SECRET}@db.example.com/portal`;
const AT = { nodeAddress: '10.0.0.5:7443' };

const parse = (options: ClusterOptions, env: NodeJS.ProcessEnv = {}, log = silent, cwd = '/') =>
  clusterPlace({ env, cwd }, options, log);

/** The error without its cause, as people and logs see it. */
async function failure(...args: Parameters<typeof parse>) {
  const error = (await parse(...args).catch((thrown: unknown) => thrown)) as Error & { hint?: string };
  expect(JSON.stringify(error) + error.message + String(error.hint) + String(error.stack)).not.toContain(
    SECRET,
  );
  return error;
}

describe('the options of a node', () => {
  it('are absent for a relay of one node', async () => {
    expect(await parse({})).toBeUndefined();
    expect(await parse({}, { PORTAL_CLUSTER: '' })).toBeUndefined();
  });

  it('give the URL on the command line, in the environment or in a file', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'database-url'), `${URL_WITH_SECRET}\n`);
    const listen = { host: '10.0.0.5', port: 7443 };
    const place = { url: URL_WITH_SECRET, ...AT, listen, files: expect.anything(), nodeHost: undefined };
    expect(await parse({ ...AT, cluster: URL_WITH_SECRET })).toEqual(place);
    expect(await parse(AT, { PORTAL_CLUSTER: URL_WITH_SECRET })).toEqual(place);
    expect(await parse({ ...AT, cluster: 'database-url' }, {}, silent, folder)).toEqual(place);
    expect(await parse({ ...AT, cluster: URL_WITH_SECRET }, { PORTAL_CLUSTER: 'x' })).toEqual(place);
  });

  it('warn of a password on the command line only', async () => {
    const warn = vi.fn<(fields: object, message: string) => void>();
    const log = { ...silent, warn };
    await parse(AT, { PORTAL_CLUSTER: URL_WITH_SECRET }, log);
    await parse({ ...AT, cluster: 'postgres://portal@db.example.com/portal' }, {}, log);
    expect(warn).not.toHaveBeenCalled();
    await parse({ ...AT, cluster: URL_WITH_SECRET }, {}, log);
    expect(warn).toHaveBeenCalledOnce();
    expect(JSON.stringify(warn.mock.calls)).not.toContain(SECRET);
  });

  it.each([
    [{ cluster: `mysql://portal:${SECRET}@db/portal` }, '--cluster has no URL of a PostgreSQL database'],
    [{ cluster: `postgres://portal:${SECRET}@db:port/x` }, '--cluster has no URL of a PostgreSQL database'],
    [{ cluster: `postgres://portal:${SECRET}@a,b:port/x` }, '--cluster has no URL of a PostgreSQL database'],
    [{ cluster: `postgres://portal:a,${SECRET}@db:port/x` }, '--cluster has no URL of a PostgreSQL database'],
    [{ cluster: 'missing-file' }, '--cluster: /missing-file does not exist'],
  ])('reject %o', async (options, message) => {
    expect(await failure({ ...AT, ...options })).toMatchObject({ code: 'usage', message });
  });

  it.each([
    [{ workers: 2 }, '--workers', 'Start one node for each core'],
    [{ takeOver: 1_000 }, '--take-over', 'Restart one node after the other'],
  ])('reject %o, and say what to do instead', async (options, flag, hint) => {
    const error = await failure({ ...AT, cluster: URL_WITH_SECRET, ...options });
    expect(error).toMatchObject({
      code: 'usage',
      message: `${flag} does not work with --cluster`,
      hint: expect.stringContaining(hint),
    });
  });

  it.each([{ tcpPorts: 'any' }, { udpPorts: 'any' }])('need a host of this node with %o', async (ports) => {
    const options = { ...AT, cluster: URL_WITH_SECRET, ...ports };
    expect(await failure(options)).toMatchObject({
      code: 'usage',
      hint: expect.stringContaining('--node-host'),
    });
    const nodeHost = 'n1.example.com';
    expect(await parse({ ...options, nodeHost })).toMatchObject({ nodeHost });
  });

  it.each([
    ['N1.Example.com.', 'n1.example.com'],
    ['192.0.2.5', '192.0.2.5'],
    ['2001:db8::5', '[2001:db8::5]'],
    ['[2001:DB8::5]', '[2001:db8::5]'],
  ])('accept the node host %s', async (nodeHost, expected) => {
    expect(await parse({ ...AT, cluster: URL_WITH_SECRET, nodeHost })).toMatchObject({ nodeHost: expected });
  });

  it.each(['n1.example.com:443', '0.0.0.0', '::', '-n1', 'n 1', 'a..b', '[n1]:5'])(
    'reject the node host %s',
    async (nodeHost) => {
      expect(await failure({ ...AT, cluster: URL_WITH_SECRET, nodeHost })).toMatchObject({ code: 'usage' });
    },
  );

  it('accept one worker, which is the default', async () => {
    expect(await parse({ ...AT, cluster: URL_WITH_SECRET, workers: 1 })).toBeDefined();
  });

  it('must be used together', async () => {
    expect(await failure({ nodeHost: 'n1' })).toMatchObject({
      code: 'usage',
      message: expect.stringContaining('--node-host needs --cluster'),
    });
    expect(await failure({ cluster: URL_WITH_SECRET })).toMatchObject({
      code: 'usage',
      hint: expect.stringContaining('--node-address'),
    });
    expect(await failure(AT)).toMatchObject({ code: 'usage', message: expect.stringContaining('--cluster') });
  });

  it.each(['7443', ':7443', '0.0.0.0:7443', '[::]:7443', 'node:0', 'node:70000', 'node', '10.0.0.5:x'])(
    'reject the node address %s',
    async (nodeAddress) => {
      expect(await failure({ cluster: URL_WITH_SECRET, nodeAddress })).toMatchObject({ code: 'usage' });
    },
  );

  it.each([
    ['[2001:db8::5]:7443', '2001:db8::5'],
    ['node-5.internal:7443', 'node-5.internal'],
  ])('accept the node address %s', async (nodeAddress, host) => {
    expect(await parse({ cluster: URL_WITH_SECRET, nodeAddress })).toMatchObject({
      listen: { host, port: 7443 },
    });
  });
});
