import { describe, expect, it } from 'vitest';
import { freePorts } from '../support/ports.js';
import type { RelaySpec } from '../../src/agent/spec.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { temporaryFolder } from '../support/folder.js';
import { agent, desired, get, handedOver, httpService, relay, service, visit } from '../support/world.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { openStore } from '../../src/relay/store/store.js';
import { Person, type Running } from './cli-support.js';
import { sendHello, line, Peer, settled, tcp } from './relay-peer.js';

/** A relay that shuts down, and the new process that takes over its ports and names while old visitors finish. */

interface Started {
  readonly running: Running;
  readonly spec: RelaySpec;
  readonly port: number;
}

async function start(operator: Person, args: readonly string[]): Promise<Started> {
  const running = operator.start(['relay', '--json', '--log-level', 'debug', ...args]);
  const { url, ca } = (await running.event('listening')) as unknown as { url: string; ca: string };
  return { running, spec: { kind: 'url', url, caFile: ca }, port: Number(new URL(url).port) };
}

describe.each([[], ['--workers', '2']])('portal relay %s %s, restarted', (...workers) => {
  it('old visitors finish with the old process, while the new one serves the same names and ports', async () => {
    const operator = await Person.create();
    const [tcpPort, udpPort] = await freePorts(2);
    const ports = ['--tcp-ports', String(tcpPort), '--udp-ports', String(udpPort)];
    const old = await start(operator, [...workers, '--listen', '127.0.0.1:0', '--drain', '60s', ...ports]);
    const [web, db, echo] = [await handedOver(), await handedOver(), await udpService()];
    const one = await agent();
    await one.runner.apply(
      desired(
        [old.spec],
        service('web', web.port),
        service('db', db.port, { mode: 'tcp', carrier: 'tls' }),
        service('echo', echo.port, { mode: 'udp' }),
      ),
    );
    await one.event('ready');
    const download = line(await visit(old, 'web.localhost', one.ca));
    const source = await web.next();
    source.write('the first half, ');
    await download.until('half, ');
    const query = await tcp({ port: tcpPort! });
    query.socket.write('select');
    // The probe of a port connects to nothing, so the first connection here is the visitor's.
    const database = await db.next();
    database.write('row 1, ');
    await query.until('row 1');

    const mark = one.events.length;
    old.running.kill('SIGTERM');
    const renewed = await start(operator, [
      ...workers,
      '--listen',
      `127.0.0.1:${old.port}`,
      '--take-over',
      '20s',
      ...ports,
    ]);
    expect(renewed.port).toBe(old.port);
    for (const name of ['web', 'db', 'echo'])
      await one.event('lease', ({ phase, service: of }) => phase === 'ready' && of === name, mark);
    const newcomer = line(await visit(old, 'web.localhost', one.ca));
    (await web.next()).end('for the newcomer');
    expect((await newcomer.closed).received.toString()).toBe('for the newcomer');
    const other = await tcp({ port: tcpPort! });
    other.socket.write('again');
    (await db.next()).end('row of the new one');
    other.socket.end();
    expect((await other.closed).received.toString()).toBe('row of the new one');
    expect(await (await udpVisitor(udpPort!)).ask('over the new one')).toBe('over the new one');

    // The old visitors are still connected.
    source.end('and the second');
    expect((await download.closed).received.toString()).toBe('the first half, and the second');
    database.end('row 2');
    query.socket.end();
    expect((await query.closed).received.toString()).toBe('row 1, row 2');
    expect(await old.running.finished).toMatchObject({ code: 0, signal: null });
    // Last, because it connects to every local service.
    const { leases } = await one.runner.status();
    expect(leases.map(({ url, tcpAddr, udpAddr }) => url ?? tcpAddr ?? udpAddr)).toEqual([
      `https://web.localhost:${old.port}`,
      `localhost:${tcpPort}`,
      `localhost:${udpPort}`,
    ]);
    renewed.running.kill('SIGTERM');
    expect((await renewed.running.finished).code).toBe(0);
  });

  it('waits for its address until the deadline, or until a signal', async () => {
    const operator = await Person.create();
    const old = await start(operator, [...workers, '--listen', '127.0.0.1:0']);
    const listen = [...workers, '--listen', `127.0.0.1:${old.port}`];
    const impatient = await operator.run(['relay', '--json', ...listen, '--take-over', '1']);
    expect(impatient).toMatchObject({ code: 1, stdout: expect.stringContaining('address_in_use') });
    const patient = operator.start([
      'relay',
      '--json',
      ...listen,
      '--take-over',
      '10m',
      '--log-level',
      'info',
    ]);
    await patient.line(/waiting until another relay/);
    patient.kill('SIGTERM');
    expect((await patient.finished).code).toBe(0);
  });

  it('disconnects the remaining visitors after its drain', async () => {
    const operator = await Person.create();
    const old = await start(operator, [...workers, '--listen', '127.0.0.1:0', '--drain', '1s']);
    const web = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([old.spec], service('web', web.port)));
    const visitor = line(await visit(old, 'web.localhost', one.ca));
    (await web.next()).write('never finished');
    await visitor.until('never finished');
    old.running.kill('SIGTERM');
    expect((await old.running.finished).code).toBe(0);
    expect((await visitor.closed).how).toBe('ECONNRESET');
  });
});

/** A relay that replaced another, and the agent that had a lease there. */
async function restarted(limits = {}) {
  const store = { file: `${await temporaryFolder()}/relay.db` };
  const before = await relay({ store });
  const peer = await Peer.open(before);
  await peer.lease('web');
  await before.close();
  const at = await relay({ store, ca: before.ca, port: before.port, limits });
  return { at, peer };
}

describe('a relay after its start', () => {
  it('queues visitors of known names until their agents return, and rejects the others', async () => {
    const { at, peer } = await restarted();
    const stranger = await sendHello(at, 'other.localhost');
    expect([...(await stranger.closed).received]).toEqual([21, 3, 3, 0, 2, 2, 112]);
    const visitors = [await sendHello(at, 'web.localhost'), await sendHello(at, 'web.localhost')];
    await settled(() => at.counts().waiting === 2);
    expect(at.counts()).toMatchObject({ leases: 1 });
    const back = await Peer.open(at, { identity: peer.identity });
    back.answerDials();
    const { lease } = await back.lease('web');
    for (const _ of visitors) {
      const { data } = await back.visited();
      await data.until('web.localhost');
      data.socket.end('served');
    }
    for (const visitor of visitors) await visitor.until('served');
    expect(at.counts()).toMatchObject({ leases: 1, waiting: 0 });
    // An agent that reconnected and closed its lease is not expected.
    await back.request({ type: 'lease.close', lease });
    const late = await sendHello(at, 'web.localhost');
    expect([...(await late.closed).received]).toEqual([21, 3, 3, 0, 2, 2, 112]);
  });

  it('queues them only for the grace period, and gives the name to no other identity', async () => {
    const { at, peer } = await restarted({ graceMs: 2_000 });
    const visitor = await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
    await expect((await Peer.open(at)).lease('web')).rejects.toMatchObject({ code: 'name_taken' });
    expect([...(await visitor.closed).received]).toEqual([21, 3, 3, 0, 2, 2, 112]);
    expect(at.counts().leases).toBe(0);
    const late = await sendHello(at, 'web.localhost');
    expect([...(await late.closed).received]).toEqual([21, 3, 3, 0, 2, 2, 112]);
    await expect((await Peer.open(at)).lease('web')).rejects.toMatchObject({ code: 'name_reserved' });
    await (await Peer.open(at, { identity: peer.identity })).lease('web');
    expect(at.counts().leases).toBe(1);
  });
});

it('keeps names long after their last use, because its clock may be wrong', async () => {
  const file = `${await temporaryFolder()}/relay.db`;
  const [owner, usedAt] = [generateIdentity(), Date.now() - 40 * 86_400_000];
  const store = await openStore({ file });
  await store.reserve('web', owner.address, usedAt);
  await store.close();
  const at = await relay({ store: { file } });
  await expect((await Peer.open(at)).lease('web')).rejects.toMatchObject({ code: 'name_reserved' });
  await (await Peer.open(at, { identity: owner })).lease('web');
});

describe('a relay that stops', () => {
  it('its agents are still served on their other relay, which notices nothing', async () => {
    const [one, other] = [await relay(), await relay()];
    const { port } = await httpService((_request, response) => response.end('still here'));
    const both = await agent();
    await both.runner.apply(desired([one.spec, other.spec], service('web', port)));
    await both.event('ready');
    const mark = both.events.length;
    await one.close({ drainMs: 1_000 });
    const lost = await both.event('lease', ({ phase }) => phase === 'retrying', mark);
    expect(lost).toMatchObject({ relay: one.url, error: { code: 'shutting_down' } });
    expect((await get(other, 'web.localhost', both.ca)).text).toContain('still here');
    const reported = both.events.slice(mark).filter(({ event }) => event === 'lease');
    expect(reported.filter((event) => 'relay' in event && event.relay === other.url)).toEqual([]);
    expect((await both.runner.status()).leases.map(({ phase }) => phase).toSorted()).toEqual([
      'ready',
      'retrying',
    ]);
  });

  it('serves queued visitors first, if data connections still arrive', async () => {
    const at = await relay();
    const peer = await Peer.open(at);
    await peer.lease('web');
    const dials = await peer.tickets();
    const visitor = await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
    const closing = at.close({ drainMs: 10_000 });
    const data = await peer.data(dials[0]!.ticket);
    await data.until((received) => received.length > 200);
    data.socket.end('served');
    visitor.socket.end();
    await visitor.until('served');
    expect(await peer.next('goaway')).toMatchObject({ reconnectAfterMs: expect.any(Number) });
    await closing;
  });

  it('releases every port before its visitors have finished, and ignores its sessions', async () => {
    const file = `${await temporaryFolder()}/relay.db`;
    const at = await relay({ ports: { tcp: 'any' }, store: { file } });
    const peer = await Peer.open(at);
    const { tcpAddr } = await peer.lease('db', { mode: 'tcp', carrier: 'tls' });
    peer.answerDials();
    const port = Number(tcpAddr!.split(':')[1]);
    const visitor = await tcp({ port });
    visitor.socket.write('hello');
    const { data } = await peer.visited();
    await data.until('hello');
    const closing = at.close({ drainMs: 30_000 });
    await peer.next('goaway');
    for (const taken of [at.port, port]) await expect(tcp({ port: taken })).rejects.toThrow('ECONNREFUSED');
    // The store is closed as well.
    const next = await relay({
      ports: { tcp: { from: port, to: port } },
      store: { file },
      port: at.port,
      ca: at.ca,
    });
    const again = await Peer.open(next, { identity: peer.identity });
    expect((await again.lease('db', { mode: 'tcp', carrier: 'tls' })).tcpAddr).toBe(tcpAddr);
    expect(at.counts()).toMatchObject({ visitors: 1, leases: 0 });
    data.socket.end('bye');
    visitor.socket.end();
    await visitor.until('bye');
    await closing;
  });
});
