import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RelaySpec } from '../../src/agent/spec.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { chainOf, knowEachOther, peerOf } from '../support/chain.js';
import {
  agent,
  desired,
  get,
  NOT_HTTP,
  relay,
  service,
  tcpService,
  visit,
  type TestAgent,
  type TestRelay,
} from '../support/world.js';

/** An entry, and two relays that forward to it and to each other. */
async function world(): Promise<{ entry: TestRelay; one: TestRelay; other: TestRelay }> {
  const entry = await relay({ ports: { tcp: 'any', udp: 'any' } });
  const one = await relay({ peers: [peerOf(entry)] });
  const other = await relay({ peers: [peerOf(entry), peerOf(one)] });
  await knowEachOther([entry, one, other]);
  return { entry, one, other };
}

/** Responds to each HTTP request. Echoes on other connections. */
const echoing = (): Promise<number> =>
  tcpService((socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString().startsWith('GET')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
      else socket.write(chunk);
    });
    socket.on('end', () => socket.end());
  });

async function movedTo(at: TestAgent, spec: RelaySpec, port: number): Promise<void> {
  const seen = at.events.length;
  await at.runner.apply(desired([spec], service('app', port)));
  await at.event('lease', ({ phase }) => phase === 'ready', seen);
}

describe('a chain that changes', () => {
  it('keeps visitors, and serves new ones throughout, when the path to the same entry changes', async () => {
    const { entry, one, other } = await world();
    const port = await echoing();
    const at = await agent();
    await movedTo(at, entry.spec, port);
    const talks = [await visit(entry, 'app.localhost', at.ca, NOT_HTTP)];
    const say = async (text: string): Promise<void> => {
      for (const talk of talks) {
        talk.write(text);
        const [chunk] = (await once(talk, 'data')) as [Buffer];
        expect(chunk.toString()).toBe(text);
      }
    };
    await say('direct');
    const over = new AbortController();
    onTestFinished(() => over.abort());
    let requested = 0;
    const visitors = (async () => {
      for (; !over.signal.aborted; requested++)
        expect(await get(entry, 'app.localhost', at.ca)).toMatchObject({ status: 200 });
    })();
    // Handled here as well, in case the test fails before it awaits them.
    visitors.catch(() => undefined);
    const ways = [
      chainOf([entry, one]),
      chainOf([entry, other]),
      chainOf([entry, one, other]),
      chainOf([entry, one]),
      entry.spec,
    ];
    for (const [index, way] of ways.entries()) {
      await movedTo(at, way, port);
      await say(`way ${index}`);
      talks.push(await visit(entry, 'app.localhost', at.ca, NOT_HTTP));
      await say(`and one more ${index}`);
    }
    over.abort();
    await visitors;
    expect(requested).toBeGreaterThan(0);
    for (const talk of talks) talk.end();
    // The old sessions, hops and leases end, except one lease.
    await expect.poll(() => [entry, one, other].map((each) => each.counts().sessions)).toEqual([1, 0, 0]);
    expect(entry.counts().leases).toBe(1);
    const { leases } = await at.runner.status();
    expect(leases).toMatchObject([{ phase: 'ready', relay: entry.url, retries: 0 }]);
  });

  it('keeps public ports, and their visitors', async () => {
    const { entry, one, other } = await world();
    const at = await agent();
    const udp = await udpService((payload) => payload);
    const all = [
      service('lines', await echoing(), { mode: 'tcp' }),
      service('packets', udp.port, { mode: 'udp' }),
    ];
    let talk: Socket | undefined;
    let addresses: (string | undefined)[] | undefined;
    for (const way of [entry.spec, chainOf([entry, one]), chainOf([entry, other]), entry.spec]) {
      const seen = at.events.length;
      await at.runner.apply(desired([way], ...all));
      const [lines, packets] = await Promise.all(
        all.map(({ name }) =>
          at.event('lease', (event) => event.service === name && event.phase === 'ready', seen),
        ),
      );
      const now = [lines!.tcpAddr, packets!.udpAddr];
      expect(now).toEqual((addresses ??= now));
      const [tcpPort, udpPort] = now.map((address) => Number(address!.split(':')[1]));
      if (!talk) {
        talk = connect(tcpPort!, '127.0.0.1');
        await once(talk, 'connect');
      }
      talk.write('still here');
      expect(String(((await once(talk, 'data')) as [Buffer])[0])).toBe('still here');
      const visitor = await udpVisitor(udpPort!);
      expect(await visitor.ask('hello')).toBe('hello');
      visitor.close();
    }
    talk?.destroy();
  });

  it('that is reverted before its new path is ready affects no visitor', async () => {
    const { entry, one } = await world();
    const port = await echoing();
    const at = await agent();
    await movedTo(at, entry.spec, port);
    const talk = await visit(entry, 'app.localhost', at.ca, NOT_HTTP);
    const stranger = await relay();
    await at.runner.apply(desired([chainOf([entry, stranger])], service('app', port)));
    expect((await at.runner.status()).leases).toMatchObject([
      { relay: entry.url, phase: 'ready' },
      { phase: 'failed', error: { code: 'peer_unknown' } },
    ]);
    expect(await get(entry, 'app.localhost', at.ca)).toMatchObject({ status: 200 });
    await at.runner.apply(desired([entry.spec], service('app', port)));
    // The same after the new path was ready.
    await movedTo(at, chainOf([entry, one]), port);
    await movedTo(at, entry.spec, port);
    await at.runner.apply(desired([entry.spec], service('app', port)));
    talk.write('still here');
    expect(String(((await once(talk, 'data')) as [Buffer])[0])).toBe('still here');
    expect(await get(entry, 'app.localhost', at.ca)).toMatchObject({ status: 200 });
    expect(entry.counts().leases).toBe(1);
  });

  it('to another entry opens there before it closes here', async () => {
    const { entry, one, other } = await world();
    const port = await echoing();
    const at = await agent();
    await movedTo(at, chainOf([entry, other]), port);
    const talk = await visit(entry, 'app.localhost', at.ca, NOT_HTTP);
    await movedTo(at, chainOf([one, other]), port);
    expect(await get(one, 'app.localhost', at.ca)).toMatchObject({ status: 200 });
    talk.write('still here');
    expect(String(((await once(talk, 'data')) as [Buffer])[0])).toBe('still here');
    await expect.poll(() => entry.counts().leases).toBe(0);
  });
});
