import { readFile, writeFile } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import type { LocalCa } from '../../src/certificates/local-ca.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { freePorts } from '../support/ports.js';
import { seen, signIn } from '../support/sign-in.js';
import { udpService, udpVisitor } from '../support/udp.js';
import {
  agent,
  desired,
  get,
  handedOver,
  httpService,
  service,
  tcpService,
  visit,
} from '../support/world.js';
import { jsonLines, Person } from './cli-support.js';
import { line, Peer, tcp } from './relay-peer.js';
import { isAlive } from '../../src/lib/is-alive.js';
import { agentsAtBoth, logOf, pidsOf, startWorkers } from './workers-support.js';

/** `portal relay --workers`: one relay of several processes. */

const errorOf = (stdout: string) => jsonLines(stdout).map(({ time: _time, ...rest }) => rest);

it('serves visitors of every mode, whichever worker they arrive at', async () => {
  const operator = await Person.create();
  const [tcpPort, udpPort] = await freePorts(2);
  const at = await startWorkers(operator, '--tcp-ports', String(tcpPort), '--udp-ports', String(udpPort));
  const [db, echo] = [await handedOver(), await udpService()];
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(
    desired(
      [at.spec],
      service('web', port),
      service('raw', port, { mode: 'stream' }),
      service('db', db.port, { mode: 'tcp', carrier: 'tls' }),
      service('echo', echo.port, { mode: 'udp' }),
    ),
  );
  await one.event('ready');
  const visits = Array.from({ length: 40 }, (_, index) =>
    get(at, index % 2 === 0 ? 'web.localhost' : 'raw.localhost', one.ca),
  );
  for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
  const query = await tcp({ port: tcpPort! });
  (await db.next()).end('row 1');
  query.socket.end();
  expect((await query.closed).received.toString()).toBe('row 1');
  const visitor = await udpVisitor(udpPort!);
  for (const text of ['one', 'two', 'three']) expect(await visitor.ask(text)).toBe(text);
  expect(await at.metric('portal_relay_workers')).toBe(2);
  expect(await at.metric('portal_relay_leases{kind="tls"}')).toBe(2);
  expect(await at.metric('portal_relay_visitors_served_total{kind="tls"}')).toBeGreaterThanOrEqual(40);
  at.running.kill('SIGTERM');
  expect((await at.running.finished).code).toBe(0);
});

it('connects and counts each visitor once, and keeps no connection that no visitor has', async () => {
  const operator = await Person.create();
  const [tcpPort] = await freePorts(1);
  const at = await startWorkers(operator, '--tcp-ports', String(tcpPort));
  const heard: string[] = [];
  const port = await tcpService((socket) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += String(chunk)));
    socket.on('end', () => {
      heard.push(text);
      socket.end(text);
    });
  });
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('db', port, { mode: 'tcp' })));
  await one.event('ready');
  const asked = Array.from({ length: 60 }, (_, index) => `query ${index}`);
  const visits = asked.map(async (text) => {
    const { socket, closed } = await tcp({ port: tcpPort! }, { allowHalfOpen: true });
    socket.end(text);
    expect((await closed).received.toString()).toBe(text);
  });
  await Promise.all(visits);
  await expect
    .poll(() => at.metric('portal_relay_visitors_ended_total{kind="tcp",end="ended"}'), { timeout: 10_000 })
    .toBe(asked.length);
  expect(await at.metric('portal_relay_visitor_bytes_total{kind="tcp",to="visitor"}')).toBe(
    asked.join('').length,
  );
  expect(await at.metric('portal_relay_visitors{kind="tcp"}')).toBe(0);
  at.running.kill('SIGTERM');
  expect((await at.running.finished).code).toBe(0);
  expect(logOf(at.running).filter(({ msg }) => msg === 'waiting for visitors to finish')).toEqual([]);
  expect(heard.toSorted()).toEqual(asked.toSorted());
});

it('gives a warning that concerns all workers once', async () => {
  const operator = await Person.create();
  const [port, udpPort] = (await freePorts(2)) as [number, number];
  const taken = createSocket('udp4').bind(port, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const listen = ['--listen', `127.0.0.1:${port}`, '--udp-ports', String(udpPort)];
  const running = operator.start(['relay', '--json', '--workers', '3', ...listen]);
  await running.event('listening');
  const warnings = logOf(running).filter(({ msg }) => String(msg).startsWith('no UDP port for agents'));
  expect(warnings).toHaveLength(1);
});

it('a worker that crashes costs only its own connections, and another one takes its place', async () => {
  const operator = await Person.create();
  const at = await startWorkers(operator);
  const held = await handedOver();
  const both = await agentsAtBoth(at, 'app', held.port);
  const [lost, kept] = ['w1', 'w2'].map((node) => both.get(node)!);
  const mark = lost!.one.events.length;
  const other = kept!.one.events.length;
  process.kill(pidsOf(at.running).get('w1')!, 'SIGKILL');
  await at.running.line(/"node":"w1".*was ended by SIGKILL/);
  await lost!.one.event('lease', ({ phase }) => phase === 'ready', mark);
  const pid = await at.running.line(/"node":"w3".*worker started/);
  expect(JSON.parse(pid)).toMatchObject({ level: 'info', pid: pidsOf(at.running).get('w3') });
  for (const { one, host } of [lost!, kept!]) {
    const visitor = line(await visit(at, host, one.ca));
    (await held.next()).end('served');
    expect((await visitor.closed).received.toString()).toBe('served');
  }
  expect(kept!.one.events.slice(other).filter(({ event }) => event === 'lease')).toEqual([]);
  expect(await at.metric('portal_relay_worker_restarts_total')).toBe(1);
});

it('workers end with the main process, even when it is killed', async () => {
  const operator = await Person.create();
  const { running } = await startWorkers(operator);
  const pids = [...pidsOf(running).values()];
  expect(pids.map(isAlive)).toEqual([true, true]);
  running.kill('SIGKILL');
  await running.finished;
  await expect.poll(() => pids.some(isAlive)).toBe(false);
});

it('reports an address in use like a relay of one process, and leaves no process behind', async () => {
  const operator = await Person.create();
  const other = createServer();
  await once(other.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const listen = ['relay', '--json', '--log-level', 'debug', '--listen', `127.0.0.1:${port}`];
  const [single, several] = [await operator.run(listen), await operator.run([...listen, '--workers', '2'])];
  expect(several.code).toBe(single.code);
  expect(errorOf(several.stdout)).toEqual(errorOf(single.stdout));
  // With --take-over, the main process waits.
  const patient = await operator.run([...listen, '--workers', '2', '--take-over', '1']);
  expect(patient.stderr).toContain('waiting until another relay releases the address');
  expect(errorOf(patient.stdout)).toMatchObject([{ code: 'address_in_use' }]);
});

it('signs an identity in at every worker, and shows its agents of all workers', async () => {
  const operator = await Person.create();
  const { spec, port } = await startWorkers(operator);
  const ca = { certificatePem: await readFile(spec.caFile!, 'utf8') } as LocalCa;
  const at = { url: spec.url, port, ca };
  const identity = generateIdentity();
  const peers = await Promise.all(Array.from({ length: 4 }, () => Peer.open(at, { identity })));
  await Promise.all(peers.map((peer, index) => peer.request({ type: 'report', machine: `m${index}` })));
  // Each request arrives at any worker.
  for (let round = 0; round < 4; round++) {
    const token = await signIn(at, identity);
    for (const { agents } of await Promise.all(Array.from({ length: 4 }, () => seen(at, token))))
      expect(agents.map(({ machine }) => String(machine)).toSorted()).toEqual(['m0', 'm1', 'm2', 'm3']);
  }
});

it('reloads its lists in every worker at SIGHUP', async () => {
  const operator = await Person.create();
  const file = join(operator.folder, 'deny.txt');
  await writeFile(file, '# none\n');
  const at = await startWorkers(operator, '--deny', 'deny.txt');
  const { port } = await httpService((_request, response) => response.end('hello'));
  const both = [...(await agentsAtBoth(at, 'app', port)).values()];
  const marks = both.map(({ one }) => one.events.length);
  await writeFile(file, both.map(({ one }) => one.identity.address).join('\n'));
  at.running.kill('SIGHUP');
  for (const [index, { one }] of both.entries()) {
    const { error } = await one.event('lease', ({ phase }) => phase !== 'ready', marks[index]);
    expect(error).toMatchObject({ code: 'unauthorized' });
  }
});

it('ends at a signal to the main process, and ignores signals to workers', async () => {
  const operator = await Person.create();
  const { running, port } = await startWorkers(operator);
  // A terminal sends Ctrl-C to all processes at once: only the main process handles it.
  const pids = [...pidsOf(running).values()];
  for (const pid of pids)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal);
  await tcp({ port });
  expect(pids.map(isAlive)).toEqual([true, true]);
  running.kill('SIGINT');
  expect((await running.finished).code).toBe(0);
  expect(logOf(running).at(-1)).toMatchObject({ msg: 'all workers ended' });
});
