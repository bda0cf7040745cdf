import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { chain, peerOf, type TestChain } from '../support/chain.js';
import { udpService, udpVisitor } from '../support/udp.js';
import {
  agent,
  desired,
  get,
  relay,
  service,
  tcpService,
  visit,
  type TestAgent,
  type TestRelay,
} from '../support/world.js';

/** The relay behind the entry drains, and another replaces it: agents move, and visitors notice nothing. */

/** Responds to each HTTP request. Echoes on other connections. */
const echoing = (): Promise<number> =>
  tcpService((socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString().startsWith('GET')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
      else socket.write(chunk);
    });
    socket.on('end', () => socket.end());
  });

async function echoed(talk: TLSSocket, text: string): Promise<void> {
  talk.write(text);
  const [chunk] = (await once(talk, 'data')) as [Buffer];
  expect(chunk.toString()).toBe(text);
}

/** The next relay of `at` in `chain`. */
function nextRelayOf(at: TestRelay, { relays }: TestChain): Promise<TestRelay> {
  const next = relays[relays.indexOf(at) - 1]!;
  return relay({ port: at.port, ca: at.ca, peers: [peerOf(next)], limits: { peerRetryMs: 20 } });
}

/** Sends a visitor's requests one after the other until it is stopped. Resolves with their number. */
function visitorsOf(entry: TestRelay, { ca }: TestAgent): () => Promise<number> {
  const over = new AbortController();
  const asking = (async () => {
    let requested = 0;
    for (; !over.signal.aborted; requested++)
      expect(await get(entry, 'app.localhost', ca)).toMatchObject({ status: 200 });
    return requested;
  })();
  return () => {
    over.abort();
    return asking;
  };
}

describe('a relay of a chain that shuts down', () => {
  it.each([
    ['the exit of two', 2, 1],
    ['the exit of three', 3, 2],
    ['the middle', 3, 1],
  ])(
    '%s: the agent moves while it drains, visitors stay connected, and it waits for no agent',
    async (_what, length, leaves) => {
      const row = await chain(length);
      const { entry, relays, spec } = row;
      const one = await agent();
      await one.runner.apply(desired([spec], service('app', await echoing())));
      await one.event('ready');
      const talk = await visit(entry, 'app.localhost', one.ca);
      await echoed(talk, 'before');
      const seen = one.events.length;
      const over = visitorsOf(entry, one);
      const leaving = relays[leaves]!;
      let isClosed = false;
      const closing = leaving.close({ drainMs: 600_000 }).then(() => (isClosed = true));
      await expect.poll(() => leaving.counts().sessions).toBe(0);
      const replacement = await nextRelayOf(leaving, row);
      // Only the visitor's connection is left on the relay that drains.
      await expect.poll(() => leaving.counts().hops, { timeout: 45_000 }).toBe(1);
      await expect.poll(() => entry.counts().sessions).toBe(1);
      expect(replacement.counts().hops).toBeGreaterThan(0);
      await echoed(talk, 'while it drains');
      expect(isClosed).toBe(false);
      expect(await over()).toBeGreaterThan(0);
      talk.end();
      await closing;
      expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
      expect(one.events.slice(seen)).toEqual([]);
      expect((await one.runner.status()).leases).toMatchObject([{ phase: 'ready', retries: 0 }]);
      expect(entry.counts().leases).toBe(1);
    },
  );

  it('queues any number of visitors until the new process starts', async () => {
    const row = await chain(2);
    const { entry, exit, spec } = row;
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await echoing())));
    await one.event('ready');
    void exit.close({ drainMs: 600_000 });
    await expect.poll(() => exit.counts().sessions).toBe(0);
    const visitors = Array.from({ length: 12 }, () => get(entry, 'app.localhost', one.ca));
    await expect.poll(() => entry.counts().waiting).toBeGreaterThan(4);
    await nextRelayOf(exit, row);
    for (const answer of await Promise.all(visitors)) expect(answer).toMatchObject({ status: 200 });
  });

  it('keeps ports and flows of the other modes', async () => {
    const row = await chain(2, { ports: { tcp: 'any', udp: 'any' } });
    const { exit, spec } = row;
    const one = await agent();
    const udp = await udpService((payload) => payload);
    const all = [
      service('lines', await echoing(), { mode: 'tcp' }),
      service('packets', udp.port, { mode: 'udp' }),
    ];
    await one.runner.apply(desired([spec], ...all));
    const { services } = await one.event('ready');
    const port = Number(services['packets']!.udp[0]!.split(':')[1]);
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('before')).toBe('before');
    const seen = one.events.length;
    void exit.close({ drainMs: 600_000 });
    await expect.poll(() => exit.counts().sessions).toBe(0);
    await nextRelayOf(exit, row);
    await expect.poll(() => exit.counts().hops).toBe(0);
    await expect.poll(() => visitor.ask('after')).toBe('after');
    expect(one.events.slice(seen)).toEqual([]);
    visitor.close();
  });

  it('keeps forwarding existing connections until another relay replaces it', async () => {
    const row = await chain(2);
    const { entry, exit, spec } = row;
    const one = await agent();
    await one.runner.apply(desired([spec], service('app', await echoing())));
    await one.event('ready');
    const talk = await visit(entry, 'app.localhost', one.ca);
    await echoed(talk, 'before');
    const seen = one.events.length;
    void exit.close({ drainMs: 600_000 });
    await expect.poll(async () => (await one.runner.status()).relays[0]?.hops?.[0]?.state).toBe('retrying');
    await echoed(talk, 'after');
    expect(await get(entry, 'app.localhost', one.ca)).toMatchObject({ status: 200 });
    expect(one.events.slice(seen)).toEqual([]);
    await one.runner.stop({ reason: 'test', drainMs: 0 });
    await expect.poll(() => exit.counts().hops).toBe(0);
  });
});
