import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import type { RelaySpec, ServiceSpec } from '../../src/agent/spec.js';
import type { PublicAddress } from '../../src/agent/status.js';
import type { PortalEvent } from '../../src/reconcile/events.js';
import { wire } from '../support/wire.js';
import { chainTo } from '../support/chain.js';
import { agent, desired, relay, service, type TestAgent, type TestRelay } from '../support/world.js';
import type { ModeUnderTest, Place, Promised } from './mode.js';

const PORTS = { ports: { tcp: 'any', udp: 'any' } } as const;

/** Where a mode is published: on a relay, or on the first of several. */
interface Way {
  readonly name: string;
  readonly relays: number;
}

const WAYS: readonly Way[] = [
  { name: '', relays: 1 },
  { name: ' over a chain of two', relays: 2 },
  { name: ' over a chain of three', relays: 3 },
];

/** Tests the promises of every mode with one mode, directly on a relay and over chains. */
export function complies(mode: ModeUnderTest): void {
  for (const way of WAYS) compliesOn(mode, way);
}

function compliesOn(mode: ModeUnderTest, way: Way): void {
  const promise = (what: Promised, body: () => Promise<void>): void => {
    const reason = mode.exceptions[what];
    // The promises contain the assertions.
    // oxlint-disable-next-line vitest/expect-expect, vitest/valid-title
    it(what, (context) => (reason === undefined ? body() : context.skip(reason)));
  };

  describe(`mode ${mode.mode}${mode.targets ?? ''}${way.name}`, () => {
    promise('opens', async () => {
      const { one, place } = await published(mode, way);
      expect(await mode.ask(place)).toBe('alpha');
      const { leases } = await one.runner.status();
      expect(leases).toMatchObject([{ phase: 'ready', mode: mode.mode, ...place.address }]);
      const servedAs = mode.decides ?? mode.mode;
      await eventually(async () => expect((await one.runner.status()).leases).toMatchObject([{ servedAs }]));
      // A direct datagram carrier would reveal the agent's address to a chain's first relay.
      if (mode.mode === 'udp' && way.relays > 1) expect(leases[0]!.provenAt).toBeUndefined();
      else expect(leases[0]!.provenAt).toBeDefined();
      expect(leases[0]!.targetError).toBeUndefined();
      const ready = await one.event('ready');
      const { urls, tcp, udp } = ready.services['app']!;
      expect([...urls, ...tcp, ...udp]).toEqual(Object.values(place.address));
    });

    promise('edits in place', async () => {
      const { on, one, place, spec } = await published(mode, way);
      const other = await mode.start('beta');
      const [before] = (await one.runner.status()).leases;
      await one.runner.apply(desired([on], withTarget(spec, other.port)));
      await eventually(async () => expect(await mode.ask(place)).toBe('beta'));
      const [after] = (await one.runner.status()).leases;
      expect(after).toMatchObject({ lease: before!.lease, since: before!.since, ...place.address });
      expect(await one.event('applied', ({ updated }) => updated.length > 0)).toMatchObject({
        updated: ['app'],
        replaced: [],
        opened: [],
        closed: [],
      });
    });

    promise('keeps visitors connected when the target changes', async () => {
      const { on, one, place, spec } = await published(mode, way);
      const talk = await mode.converse(place);
      expect(await talk.say('one')).toBe('alpha:one');
      const other = await mode.start('beta');
      await one.runner.apply(desired([on], withTarget(spec, other.port)));
      await eventually(async () => expect(await mode.ask(place)).toBe('beta'));
      expect(await talk.say('two')).toBe('alpha:two');
      await talk.end();
    });

    promise('reports that the service is down, and serves again when it recovers', async () => {
      const { one, place, local } = await published(mode, way);
      expect(await mode.ask(place)).toBe('alpha');
      await local.stop();
      const refused = await mode.ask(place).catch((error: Error) => error.message);
      expect(refused).toMatch(mode.whenDown);
      // The lease is healthy, but the local service is not.
      expect((await one.runner.status()).leases).toMatchObject([{ phase: 'ready' }]);
      await mode.start('back again', local.port);
      await eventually(async () => expect(await mode.ask(place)).toBe('back again'));
    });

    promise('returns to the same address after the relay restarts', async () => {
      const { at, one, place, lease } = await published(mode, way);
      await at.close();
      await relay({ ...PORTS, port: at.port, ca: at.ca });
      const back = await one.event('lease', (each) => each.phase === 'ready' && each.lease !== lease);
      expect(back).toMatchObject(place.address);
      expect(await mode.ask(place)).toBe('alpha');
    });

    promise('keeps visitors connected when the control channel is lost', async () => {
      const { between, one, place } = await publishedThroughWire(mode, way);
      const talk = await mode.converse(place);
      expect(await talk.say('one')).toBe('alpha:one');
      const seen = one.events.length;
      between.connections[0]!.kill();
      await one.event('lease', ({ phase }) => phase === 'ready', seen);
      expect(await talk.say('two')).toBe('alpha:two');
      await talk.end();
    });

    promise('disappears after its service is removed from the file', async () => {
      const { at, on, one, place, spec } = await published(mode, way);
      await one.runner.apply(desired([on], spec, { ...spec, service: 'other', name: 'other' }));
      const other = await one.event('lease', (each) => each.service === 'other' && each.phase === 'ready');
      await one.runner.apply(desired([on], { ...spec, service: 'other', name: 'other' }));
      await eventually(() => expect(at.counts().leases).toBe(1));
      await expect(mode.ask(place)).rejects.toThrow(mode.whenGone);
      expect(await mode.ask({ ...place, address: addressOf(other) })).toBe('alpha');
    });

    promise('moves to another name without a gap', async () => {
      const { at, on, one, place, spec } = await published(mode, way);
      const talk = await mode.converse(place);
      expect(await talk.say('one')).toBe('alpha:one');
      const seen = one.events.length;
      await one.runner.apply(desired([on], { ...spec, name: 'renamed' }));
      const moved = await one.event('lease', ({ phase }) => phase === 'ready', seen);
      expect(await mode.ask({ ...place, address: addressOf(moved) })).toBe('alpha');
      expect(await talk.say('two')).toBe('alpha:two');
      await talk.end();
      await eventually(() => expect(at.counts().leases).toBe(1));
    });

    promise('lets visitors finish when the agent stops', async () => {
      const { at, one, place } = await published(mode, way);
      const talk = await mode.converse(place);
      expect(await talk.say('one')).toBe('alpha:one');
      const stopped = one.runner.stop({ reason: 'test', drainMs: 20_000 });
      // A stopping agent closes a connection that pauses, so this visitor talks all the time.
      const over = new AbortController();
      const talking = (async () => {
        while (!over.signal.aborted) expect(await talk.say('two')).toBe('alpha:two');
      })();
      talking.catch(() => undefined);
      // A visitor who connects a moment after the lease closed may still be served.
      await eventually(() => expect(mode.ask(place)).rejects.toThrow(mode.whenGone));
      expect(at.counts().leases).toBe(0);
      over.abort();
      await talking;
      await talk.end();
      await stopped;
      expect(one.events.at(-1)).toMatchObject({ event: 'stopped' });
    });

    promise('disconnects visitors who do not finish in time', async () => {
      const { one, place } = await published(mode, way);
      const talk = await mode.converse(place);
      expect(await talk.say('one')).toBe('alpha:one');
      await one.runner.stop({ reason: 'test', drainMs: 50 });
      await talk.ended;
    });
  });
}

interface Published {
  /** The address that visitors use. */
  readonly at: TestRelay;
  /** The agent's configuration. */
  readonly on: RelaySpec;
  readonly one: TestAgent;
  readonly place: Place;
  readonly spec: ServiceSpec;
  readonly lease: string;
  readonly local: Awaited<ReturnType<ModeUnderTest['start']>>;
}

async function published(mode: ModeUnderTest, way: Way, at?: TestRelay): Promise<Published> {
  const here = at ?? (await relay(PORTS));
  const on = way.relays > 1 ? (await chainTo(here, way.relays)).spec : here.spec;
  const local = await mode.start('alpha');
  const one = await agent();
  const spec = withTarget(service('app', local.port, { mode: mode.mode, alpn: 'auto' }), local.port);
  await one.runner.apply(desired([on], spec));
  const ready = await one.event('lease', ({ phase }) => phase === 'ready');
  return {
    at: here,
    on,
    one,
    place: { address: addressOf(ready), ca: one.ca },
    spec,
    lease: ready.lease!,
    local,
  };
}

async function publishedThroughWire(mode: ModeUnderTest, way: Way) {
  let port = 0;
  const between = await wire(() => port);
  const at = await relay({ ...PORTS, publicPort: between.port });
  port = at.port;
  return { between, ...(await published(mode, way, at)) };
}

/** In mode http the target is the route `/`. */
function withTarget(spec: ServiceSpec, port: number): ServiceSpec {
  const { target } = service('x', port);
  const route = { prefix: '/', target, stripPrefix: true, headers: {}, responseHeaders: {} };
  return { ...spec, target, routes: spec.mode === 'http' ? [route] : [] };
}

function addressOf({ url, tcpAddr, udpAddr }: Extract<PortalEvent, { event: 'lease' }>): PublicAddress {
  return {
    ...(url !== undefined && { url }),
    ...(tcpAddr !== undefined && { tcpAddr }),
    ...(udpAddr !== undefined && { udpAddr }),
  };
}
