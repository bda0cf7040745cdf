import { expect, it, onTestFinished } from 'vitest';
import { isAlive } from '../../src/lib/is-alive.js';
import { freePorts } from '../support/ports.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { httpsGet } from '../support/visitor.js';
import { wire } from '../support/wire.js';
import { agent, desired, get, httpService, service, tcpService, type TestAgent } from '../support/world.js';
import { Person } from './cli-support.js';
import { tcp } from './relay-peer.js';
import { logOf, nodesOf, pidsOf, startWorkers, type StartedWorkers } from './workers-support.js';

/** A worker of `portal relay --workers` that does not run, as if its event loop were blocked. */

/** Stops the worker with the session of `one`. Returns its name. */
function stopWorkerOf({ identity }: TestAgent, at: StartedWorkers): string {
  const node = nodesOf(at.running, identity.address).at(-1)!;
  stopWorker(node, at);
  return node;
}

/** Returns its process id. */
function stopWorker(node: string, { running }: StartedWorkers): number {
  const pid = pidsOf(running).get(node)!;
  process.kill(pid, 'SIGSTOP');
  onTestFinished(() => {
    try {
      // It does not notice that the main process has ended.
      process.kill(pid, 'SIGKILL');
    } catch {
      // The main process has killed it.
    }
  });
  return pid;
}

/** Leaves visitors more time than the default until the agent is back, on a busy machine. */
const SOON = ['--limit', 'workerResponseMs=4s'] as const;

const range = ([from, to]: readonly number[]): string => `${from}-${to}`;

/** The public ports of the services of `one`, by service. */
const portsOf = (services: Readonly<Record<string, { tcp: readonly string[]; udp: readonly string[] }>>) =>
  Object.fromEntries(
    Object.entries(services).map(([name, of]) => [
      name,
      [...of.tcp, ...of.udp].map((address) => Number(address.split(':').at(-1))),
    ]),
  );

it('is replaced, and its services keep their names and ports', async () => {
  const [from, , , to] = await freePorts(4);
  const ports = range([from!, to!]);
  const at = await startWorkers(await Person.create(), '--tcp-ports', ports, '--udp-ports', ports, ...SOON);
  const { port } = await httpService((_request, response) => response.end('hello'));
  const echo = await udpService();
  const db = await tcpService((socket) => socket.end('row 1'));
  const one = await agent();
  const services = [
    service('web', port),
    service('db', db, { mode: 'tcp' }),
    service('echo', echo.port, { mode: 'udp' }),
  ];
  await one.runner.apply(desired([at.spec], ...services));
  const before = portsOf((await one.event('ready')).services);
  const mark = one.events.length;
  const node = stopWorkerOf(one, at);

  // Its visitors wait in the queue of the other worker.
  expect((await get(at, 'web.localhost', one.ca)).text).toContain('hello');
  expect(JSON.parse(await at.running.line(/did not respond/))).toMatchObject({ level: 'error', node });
  for (const { service: name } of services) {
    const { tcpAddr, udpAddr } = await one.event(
      'lease',
      ({ service: of, phase }) => of === name && phase === 'ready',
      mark,
    );
    const addresses = [tcpAddr, udpAddr].filter((each) => each !== undefined);
    expect(addresses.map((each) => Number(each.split(':').at(-1)))).toEqual(before[name]);
  }
  expect((await (await tcp({ port: before['db']![0]! })).closed).received.toString()).toBe('row 1');
  expect(await (await udpVisitor(before['echo']![0]!)).ask('hello')).toBe('hello');
  await expect.poll(() => at.metric('portal_relay_workers')).toBe(2);
  expect(await at.metric('portal_relay_worker_restarts_total')).toBe(1);
});

it('still has the port of an agent that reconnects at another worker, which waits for the port', async () => {
  const [from, , , to] = await freePorts(4);
  const path = await wire(() => at.port);
  const at = await startWorkers(
    await Person.create(),
    '--tcp-ports',
    range([from!, to!]),
    '--public-port',
    String(path.port),
  );
  const db = await tcpService((socket) => socket.end('row 1'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('db', db, { mode: 'tcp' })));
  const [before] = portsOf((await one.event('ready')).services)['db']!;
  const mark = one.events.length;
  const node = stopWorkerOf(one, at);
  path.connections[0]!.kill();

  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready', mark);
  expect(Number(tcpAddr!.split(':').at(-1))).toBe(before);
  expect(nodesOf(at.running, one.identity.address).at(-1)).not.toBe(node);
  expect((await (await tcp({ port: before! })).closed).received.toString()).toBe('row 1');
});

it('does not delay the end of the relay for longer than its timeout', async () => {
  const at = await startWorkers(await Person.create(), ...SOON);
  const one = await agent();
  const { port } = await httpService((_request, response) => response.end('hello'));
  await one.runner.apply(desired([at.spec], service('web', port)));
  await one.event('ready');
  const node = stopWorkerOf(one, at);
  at.running.kill('SIGTERM');
  expect((await at.running.finished).code).toBe(0);
  expect(logOf(at.running)).toContainEqual(
    expect.objectContaining({ node, msg: expect.stringContaining('did not respond') as string }),
  );
});

it('ends with the main process at a second signal', async () => {
  const at = await startWorkers(await Person.create());
  const pid = stopWorker('w1', at);
  at.running.kill('SIGTERM');
  await at.running.line(/received a signal/);
  at.running.kill('SIGTERM');
  expect((await at.running.finished).code).toBe(143);
  await expect.poll(() => isAlive(pid)).toBe(false);
});

it('reports a main process that does not respond, until it does', async () => {
  const at = await startWorkers(await Person.create(), ...SOON);
  const health = () => httpsGet(`${at.spec.url}/healthz`, at.spec.caFile!);
  expect(await health()).toBe('ok\n');
  at.running.kill('SIGSTOP');
  onTestFinished(() => at.running.kill('SIGCONT'));
  await expect.poll(health, { timeout: 20_000 }).toBe('the main process does not respond\n');
  at.running.kill('SIGCONT');
  await expect.poll(health, { timeout: 20_000 }).toBe('ok\n');
  await at.running.line(/the main process responds again/);
});
