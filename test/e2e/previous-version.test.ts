import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { balancer } from '../support/balancer.js';
import { eventually } from '../support/eventually.js';
import { keepVisiting } from '../support/keep-visiting.js';
import { operatorOf } from '../support/operator.js';
import { freePorts } from '../support/ports.js';
import { usePostgres } from '../support/postgres.js';
import { usePrevious } from '../support/previous.js';
import { greeting } from '../support/replicas.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { get, httpService, tcpService } from '../support/world.js';
import { Person, PROCESSES, type Running } from './cli-support.js';

/** Agents and relays of this version with those of the previous one. */

type Services = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

interface At {
  readonly url: string;
  readonly ca: string;
}

const previous = usePrevious();

/** A relay as an operator starts it. */
async function relayOf(program: readonly string[], ...options: string[]) {
  const operator = await Person.create(program);
  const own = ['--listen', '127.0.0.1:0', '--metrics', '0', '--log-level', 'debug'];
  const running = operator.start(['relay', '--json', ...own, ...options]);
  const started = (await running.event('listening')) as unknown as At & { metrics: string };
  return {
    running,
    url: started.url,
    ca: started.ca,
    port: Number(new URL(started.url).port),
    metric: async (series: string): Promise<number> => {
      const text = await (await fetch(started.metrics)).text();
      const found = text.split('\n').find((line) => line.startsWith(`${series} `));
      return Number(found?.slice(series.length + 1) ?? NaN);
    },
  };
}

/** A person with a portal.yaml for `services` at a relay. `like` has the identity and the local CA. */
async function personWith(program: readonly string[], at: At, services: Services, like?: Person) {
  const person = await Person.create(program);
  // Not the control socket of the running agent.
  const filter = (path: string): boolean => path !== join(like!.home, 'run');
  if (like) await cp(like.home, person.home, { recursive: true, filter });
  const config = { version: 1, relays: { urls: [{ url: at.url, ca: at.ca }] }, services };
  await writeFile(join(person.folder, 'portal.yaml'), JSON.stringify(config));
  return person;
}

const up = (person: Person): Running => person.start(['up', '--json', '--yes']);

/** An agent that serves. Resolves when it is ready. */
async function agentOf(program: readonly string[], at: At, services: Services, like?: Person) {
  const person = await personWith(program, at, services, like);
  const running = up(person);
  await running.event('ready');
  return { person, running, ca: await openLocalCa(join(person.home, 'ca')) };
}

/** Services of every mode and carrier, and a check that visitors of each are served. */
async function everything() {
  const { port } = await httpService((_request, response) => response.end('hello'));
  const db = await tcpService((socket) => void socket.end('row 1'));
  const echo = await udpService();
  const [tcpPort, udpPort] = (await freePorts(2)) as [number, number];
  return {
    options: ['--tcp-ports', String(tcpPort), '--udp-ports', String(udpPort)],
    services: {
      raw: { target: port, mode: 'stream' },
      web: { target: port, mode: 'http', carrier: 'tls' },
      far: { target: port, mode: 'http', carrier: 'ws' },
      db: { target: db, mode: 'tcp' },
      echo: { target: echo.port, mode: 'udp' },
    },
    visit: async (at: { port: number }, ca: Awaited<ReturnType<typeof openLocalCa>>, rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        for (const name of ['raw', 'web', 'far'])
          expect((await get(at, `${name}.localhost`, ca)).text).toContain('hello');
        expect(await greeting(tcpPort)).toBe('row 1');
      }
      const visitor = await udpVisitor(udpPort);
      for (const text of ['one', 'two', 'three']) expect(await visitor.ask(text)).toBe(text);
    },
  };
}

const REUSED = 'portal_relay_data_connections_total{how="reused"}';
const OPENED = 'portal_relay_data_connections_total{how="opened"}';

describe.each([['1'], ['2']])('an agent of the previous version, at a relay with --workers %s', (count) => {
  const options = ['--workers', count];

  it('serves visitors of every mode and carrier, and stops cleanly', async () => {
    const program = previous();
    const all = await everything();
    const at = await relayOf(PROCESSES, ...all.options, ...options);
    const { running, ca } = await agentOf(program, at, all.services);
    await all.visit(at, ca, 6);
    expect([await at.metric(REUSED), (await at.metric(OPENED)) >= 24]).toEqual([0, true]);
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
  });

  it('keeps its name alone, and a current agent with `replicas` serves when it stops', async () => {
    const program = previous();
    const { port } = await httpService((_request, response) => response.end('previous'));
    const other = await httpService((_request, response) => response.end('current'));
    const at = await relayOf(PROCESSES, ...options);
    const old = await agentOf(program, at, { web: { target: port } });
    const shared = { web: { target: other.port, replicas: 'spread' } };
    const current = up(await personWith(PROCESSES, at, shared, old.person));
    const rejected = await current.event('lease', ({ error }) => error !== undefined);
    expect(rejected['error']).toMatchObject({
      code: 'name_taken',
      message: expect.stringContaining('set `replicas` for both'),
    });
    expect((await get(at, 'web.localhost', old.ca)).text).toContain('previous');
    old.running.kill('SIGTERM');
    await current.event('ready');
    expect((await get(at, 'web.localhost', old.ca)).text).toContain('current');
    // The other way round.
    const back = up(await personWith(program, at, { web: { target: port } }, old.person));
    const again = await back.event('lease', ({ error }) => error !== undefined);
    expect(again['error']).toMatchObject({ code: 'name_taken' });
    current.kill('SIGTERM');
    await back.event('ready');
    expect((await get(at, 'web.localhost', old.ca)).text).toContain('previous');
  });
});

describe('an agent of the previous version, at a relay of three nodes', () => {
  const server = usePostgres();

  it('serves visitors of every node, even while one node after another restarts', async () => {
    const program = previous();
    const front = await balancer();
    const { start, specOf } = await operatorOf(server, front.port);
    const nodes = [await start('a'), await start('b'), await start('c')];
    front.use(nodes.map(({ port }) => port));
    const { url, caFile } = specOf(nodes[0]!.ca);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const services = { raw: { target: port, mode: 'stream' }, web: { target: port, carrier: 'tls' } };
    const { ca } = await agentOf(program, { url, ca: caFile }, services);
    for (const node of nodes)
      for (const name of ['raw', 'web'])
        for (let visit = 0; visit < 4; visit++)
          expect((await get({ port: node.port }, `${name}.localhost`, ca)).text).toContain('hello');
    const visiting = ['raw', 'web'].map((name) => keepVisiting(front, `${name}.localhost`, ca));
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      const node = nodes[index]!;
      node.running.kill('SIGTERM');
      expect((await node.running.finished).code).toBe(0);
      nodes[index] = await start(name, { listenAt: node.port });
    }
    await Promise.all(visiting.map((one) => one.end()));
    const results = visiting.flatMap((one) => one.results);
    // The agent does not understand `drain`. A visitor of the moment in which it moves may be lost at each restart.
    const lost = results.filter((text) => !text.includes('hello'));
    expect(lost.length).toBeLessThanOrEqual(nodes.length * visiting.length);
    expect(results.length - lost.length).toBeGreaterThan(10);
    for (const node of nodes)
      expect((await get({ port: node.port }, 'web.localhost', ca)).text).toContain('hello');
  }, 240_000);
});

const failoverTo = ({ port }: { port: number }) => ({ web: { target: port, replicas: 'failover' } });

describe('a relay of the previous version', () => {
  it('serves agents of this version in every mode and over every carrier', async () => {
    const all = await everything();
    const at = await relayOf(previous(), ...all.options);
    const { running, ca } = await agentOf(PROCESSES, at, all.services);
    await all.visit(at, ca, 6);
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
  });

  it('lets one of two agents with `replicas` serve with a notice, and then the other one', async () => {
    const at = await relayOf(previous());
    const [a, b] = await Promise.all(
      ['a', 'b'].map((says) => httpService((_request, response) => response.end(`from ${says}`))),
    );
    const first = await agentOf(PROCESSES, at, failoverTo(a!));
    const second = up(await personWith(PROCESSES, at, failoverTo(b!), first.person));
    await second.event(
      'lease',
      ({ error }) => (error as { code?: string } | undefined)?.code === 'name_taken',
    );
    await first.running.event('notice', ({ kind }) => kind === 'replicas_missing');
    expect((await get(at, 'web.localhost', first.ca)).text).toContain('from a');
    first.running.kill('SIGTERM');
    await second.event('ready');
    await second.event('notice', ({ kind }) => kind === 'replicas_missing');
    await eventually(async () => expect((await get(at, 'web.localhost', first.ca)).text).toContain('from b'));
  });
});
