import { execFile, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished, type TestContext } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { commandOf, readCompose } from '../support/compose.js';
import { programFor } from '../support/debian.js';
import { parseDockerfile } from '../support/dockerfile.js';
import { temporaryFolder } from '../support/folder.js';
import { startOn, type Machine } from '../support/namespaces.js';
import { PostgresServer } from '../support/postgres.js';
import { switchedMachines } from '../support/switched.js';
import { Person, type Running } from './cli-support.js';

/** Runs what deploy/compose.cluster.yaml starts, without Docker: each service is a network namespace. */

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const run = promisify(execFile);
const DOMAIN = 'relay.test';
const PASSWORD = 'secret';
const OUTSIDE = '172.30.0.100';
const NODES = ['node1', 'node2', 'node3'] as const;
type Node = (typeof NODES)[number];
type Within = Pick<Machine, 'within'>;
/** For commands that respond at once on a machine that is not busy. */
const BOUND = { timeout: 20_000 };

const { services } = readCompose(at('deploy/compose.cluster.yaml'), {
  RELAY_DOMAIN: DOMAIN,
  RELAY_CERTIFICATES: '/certificates',
  DATABASE_PASSWORD: PASSWORD,
});

/** The words after `portal` of the image's entry point. */
async function entryPoint(): Promise<readonly string[]> {
  const stages = parseDockerfile(await readFile(at('deploy/Dockerfile'), 'utf8'));
  const { instructions } = stages.find(({ name }) => name === 'relay')!;
  const [, , ...words] = JSON.parse(instructions.find(({ name }) => name === 'ENTRYPOINT')!.text) as string[];
  return words;
}

async function machinesOf(context: TestContext) {
  const addresses = Object.fromEntries(
    Object.entries(services).map(([name, { networks }]) => [name, networks!['relay']!.ipv4_address]),
  ) as Record<Node | 'haproxy' | 'database', string>;
  const balancer = addresses.haproxy;
  const made = await switchedMachines(
    { ...addresses, outside: OUTSIDE },
    { ...addresses, [DOMAIN]: balancer, [`web.${DOMAIN}`]: balancer },
  );
  return 'skip' in made ? context.skip(made.skip) : made;
}

/** PostgreSQL as its image starts it. */
async function startDatabase(context: TestContext, { within }: Within): Promise<string> {
  const server = new PostgresServer({ within });
  onTestFinished(() => server.remove());
  const skip = await server.create();
  if (skip !== undefined) context.skip(skip);
  const {
    POSTGRES_USER: user,
    POSTGRES_PASSWORD: password,
    POSTGRES_DB: name,
  } = services['database']!.environment!;
  expect(user).toBe('portal');
  await server.sql(`ALTER ROLE ${user} PASSWORD '${password}'`);
  await server.sql(`CREATE DATABASE ${name} OWNER ${user}`);
  return server.url(name!);
}

it(
  'serves visitors through HAProxy, and without a node that was killed',
  { timeout: 600_000 },
  async (context) => {
    const [haproxy, curl] = [await programFor(context, 'haproxy'), await programFor(context, 'curl')];
    const [dump, restore] = [await programFor(context, 'pg_dump'), await programFor(context, 'pg_restore')];
    const machines = await machinesOf(context);
    const database = await startDatabase(context, machines.database);
    const ca = await openLocalCa(await temporaryFolder());
    const certificates = await temporaryFolder();
    const { key, cert } = await ca.issue([DOMAIN]);
    await writeFile(join(certificates, 'chain.pem'), cert);
    await writeFile(join(certificates, 'key.pem'), key);

    // All nodes mount one volume.
    const operator = await Person.create();
    const words = await entryPoint();
    const start = (node: Node): Running => {
      const command = commandOf(services[node]!).map((word) =>
        word.replace('/etc/portal-relay', certificates),
      );
      return operator.start([...words, ...command], {
        within: machines[node].within,
        env: services[node]!.environment!,
      });
    };
    const running = Object.fromEntries(NODES.map((node) => [node, start(node)])) as Record<Node, Running>;
    for (const node of NODES) await running[node].line(/relay listening/);

    const config = at('deploy/haproxy.cfg');
    const [ip, ...inside] = machines.haproxy.within;
    await run(ip!, [...inside, haproxy, '-c', '-f', config], BOUND);
    const balancer = spawn(ip!, [...inside, haproxy, '-db', '-f', config], { stdio: 'ignore' });
    onTestFinished(() => void balancer.kill('SIGKILL'));

    const ask = async (from: Within, ...args: string[]): Promise<string> => {
      const [program, ...rest] = [
        ...from.within,
        curl,
        '--silent',
        '--show-error',
        '--max-time',
        '15',
        ...args,
      ];
      return run(program!, rest, BOUND).then(
        ({ stdout }) => stdout,
        (error: { stderr: string }) => error.stderr,
      );
    };
    const metric = async (node: Node, series: string): Promise<number> => {
      const text = await ask(machines.haproxy, `http://${node}:9464/metrics`);
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')[1],
      );
    };
    for (const node of NODES) await expect.poll(() => metric(node, 'portal_relay_nodes')).toBe(3);

    const person = await Person.create();
    const service = JSON.parse(await startOn(machines.outside, at('test/support/far-service.mjs'))) as {
      http: number;
    };
    const relays = { urls: [{ url: `https://${DOMAIN}`, ca: ca.certificateFile }] };
    // JSON is YAML.
    await writeFile(
      join(person.folder, 'portal.yaml'),
      JSON.stringify({ version: 1, relays, services: { web: service.http } }),
    );
    const up = person.start(['up', '--json'], machines.outside);
    const { ca: visitorCa } = await up.event('started');
    await up.event('ready');
    const visit = (): Promise<string> =>
      ask(machines.outside, '--cacert', String(visitorCa), `https://web.${DOMAIN}/`);
    // One after another, so at each of the nodes.
    for (let round = 0; round < 6; round++) expect(await visit()).toBe(`hello web.${DOMAIN}`);
    const remote = await Promise.all(NODES.map((node) => metric(node, 'portal_relay_visitors_remote_total')));
    expect(remote.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    // The nodes see who connects to HAProxy.
    const logs = NODES.map((node) => running[node].stderr).join('\n');
    expect(logs).toContain(OUTSIDE);
    expect(logs).not.toContain('"address":"172.30.0.2"');
    expect(await ask(machines.outside, '--head', `http://web.${DOMAIN}/`)).toMatch(
      /^HTTP\/1\.1 308 .*https:\/\/web\./s,
    );

    const sessions = await Promise.all(NODES.map((node) => metric(node, 'portal_relay_sessions')));
    const home = NODES[sessions.indexOf(1)]!;
    running[home].kill('SIGKILL');
    await expect.poll(visit, { timeout: 60_000 }).toBe(`hello web.${DOMAIN}`);
    for (let round = 0; round < 6; round++) expect(await visit()).toBe(`hello web.${DOMAIN}`);

    // A backup, as the guide restores it.
    const file = join(await temporaryFolder(), 'portal.dump');
    await run(dump, ['--schema=portal', '--format=custom', `--file=${file}`, database], BOUND);
    const others = NODES.filter((node) => node !== home);
    for (const node of others) running[node].kill('SIGTERM');
    for (const node of others) expect(await running[node].finished).toMatchObject({ code: 0 });
    await run(restore, ['--clean', '--if-exists', `--dbname=${database}`, file], BOUND);
    for (const node of NODES) running[node] = start(node);
    for (const node of NODES) await running[node].line(/relay listening/);
    await expect.poll(visit, { timeout: 60_000 }).toBe(`hello web.${DOMAIN}`);
  },
);
