import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { freePorts } from '../support/ports.js';
import { agent, desired, get, httpService, readAll, service, tcpService } from '../support/world.js';
import { Person } from './cli-support.js';
import { startWorkers } from './workers-support.js';

/** Visitors of a relay with several processes that shuts down. */

const VISITORS = 100;

it('serves the visitors who came before the signal, whichever worker has them', async () => {
  const operator = await Person.create();
  const [tcpPort] = await freePorts(1);
  const at = await startWorkers(operator, '--workers', '4', '--tcp-ports', String(tcpPort));
  const { port } = await httpService((_request, response) => response.end('hello'));
  const greeting = await tcpService((socket) => void socket.end('220 ready'));
  const one = await agent();
  await one.runner.apply(
    desired(
      [at.spec],
      service('web', port),
      service('coded', port, { mode: 'stream', carrier: 'tls' }),
      service('greet', greeting, { mode: 'tcp', carrier: 'tls' }),
    ),
  );
  await one.event('ready');
  const visits = Array.from({ length: VISITORS }, (_, index) =>
    get(at, index % 2 === 0 ? 'web.localhost' : 'coded.localhost', one.ca),
  );
  const sockets = Array.from({ length: VISITORS }, () => connect({ host: '127.0.0.1', port: tcpPort! }));
  const calls = sockets.map(readAll);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  at.running.kill('SIGTERM');
  for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
  for (const said of await Promise.all(calls)) expect(said.toString()).toBe('220 ready');
  expect((await at.running.finished).code).toBe(0);
});
