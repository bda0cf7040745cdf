import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { agent, desired, get, httpService, readAll, relay, service, tcpService } from '../support/world.js';

/** The moment in which a relay closes its ports. */

/** Lets the system open connections that this process does not accept yet: no event is read meanwhile. */
const begun = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

it('a relay that shuts down serves visitors that the system had accepted for it', async () => {
  const at = await relay({ ports: { tcp: 'any' } });
  const web = await httpService((_request, response) => response.end('hello'));
  const greeting = await tcpService((socket) => void socket.end('220 ready'));
  const one = await agent();
  await one.runner.apply(
    desired([at.spec], service('web', web.port), service('mail', greeting, { mode: 'tcp', carrier: 'tls' })),
  );
  await one.event('ready');
  const { tcpAddr } = await one.event('lease', ({ tcpAddr: given }) => given !== undefined);
  const port = Number(tcpAddr!.split(':').at(-1));
  const visits = Array.from({ length: 3 }, () => get(at, 'web.localhost', one.ca));
  const calls = Array.from({ length: 3 }, () => readAll(connect({ host: '127.0.0.1', port })));
  await begun();
  const closed = at.close({ drainMs: 20_000 });
  const [texts, said] = await Promise.all([Promise.all(visits), Promise.all(calls)]);
  for (const { text } of texts) expect(text).toContain('hello');
  for (const each of said) expect(each.toString()).toBe('220 ready');
  await closed;
});
