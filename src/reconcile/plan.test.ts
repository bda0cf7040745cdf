import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RelaySpec, ServiceSpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import {
  opensToMore,
  placementKey,
  placements,
  plan,
  type Action,
  type ActiveLease,
  type Placement,
} from './plan.js';

const r1: RelaySpec = { kind: 'url', url: 'https://one.example' };
const r2: RelaySpec = { kind: 'url', url: 'https://two.example' };

function spec(service: string, over: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    service,
    name: service,
    mode: 'stream',
    target: { kind: 'tcp', host: '127.0.0.1', port: 3000, tls: false },
    routes: [],
    alpn: 'auto',
    hostname: undefined,
    port: undefined,
    proxyProtocol: false,
    targetTls: {},
    carrier: 'raw',
    tls: { source: 'local' },
    metadata: {},
    expires: undefined,
    access: {},
    relays: [r1],
    ...over,
  };
}

function desired(...services: ServiceSpec[]): Desired {
  return { file: undefined, identityFile: undefined, relays: [r1], services };
}

/** What the runner does with actions, without sockets. Replacements are not ready until `settle`. */
function applied(active: readonly ActiveLease[], actions: readonly Action[], to: Desired): ActiveLease[] {
  const wanted = placements(to);
  const result = new Map(active.map((lease) => [placementKey(lease), lease]));
  for (const { kind, from, to: key } of actions) {
    if (kind === 'close') result.delete(from!);
    if (kind === 'replace') result.set(from!, { ...result.get(from!)!, retiring: true });
    if (kind === 'open' || kind === 'replace' || kind === 'update')
      result.set(key!, { ...wanted.get(key!)!, retiring: false });
  }
  return [...result.values()];
}

function settle(active: readonly ActiveLease[]): ActiveLease[] {
  return active.filter(({ retiring }) => !retiring);
}

function running(...services: ServiceSpec[]): ActiveLease[] {
  return settle(applied([], plan(desired(...services), []), desired(...services)));
}

const kinds = (actions: Action[]): string[] => actions.map(({ kind, service }) => `${kind} ${service}`);

describe('whether a change exposes a service to more people', () => {
  it.each([
    ['a gate that is removed', { allowIps: ['10.0.0.0/8'] }, {}, true],
    ['a wider range', { allowIps: ['10.1.0.0/16'] }, { allowIps: ['10.0.0.0/8'] }, true],
    ['one more address', { allowIps: ['10.0.0.1'] }, { allowIps: ['10.0.0.1', '10.0.0.2'] }, true],
    ['a PIN that is removed', { pin: '1234', allowIps: ['10.0.0.1'] }, { allowIps: ['10.0.0.1'] }, true],
    ['a narrower range', { allowIps: ['10.0.0.0/8'] }, { allowIps: ['10.1.0.0/16'] }, false],
    ['a first gate', {}, { allowIps: ['10.0.0.0/8'] }, false],
    ['another PIN', { pin: '1234' }, { pin: '5678' }, true],
    ['another password', { basic: { alice: 'a' } }, { basic: { alice: 'b' } }, true],
    ['a user that is removed', { basic: { alice: 'a', bob: 'b' } }, { basic: { bob: 'b' } }, false],
  ])('%s', (_what, before, after, exposes) => {
    const active = [{ relay: r1, spec: spec('a', { access: before }), retiring: false }];
    const [action] = plan(desired(spec('a', { access: after })), active);
    expect(action).toMatchObject({ kind: 'update', changes: ['access'], exposes });
    expect(opensToMore(action!)).toBe(exposes);
    const [renamed] = plan(desired(spec('a', { name: 'z', access: after })), active);
    expect(renamed).toMatchObject({ kind: 'replace', changes: ['name', 'access'], exposes });
    expect(opensToMore(renamed!)).toBe(exposes);
  });

  it('marks neither a new service nor a new name', () => {
    const [renamed, added] = plan(desired(spec('a', { name: 'z' }), spec('b')), running(spec('a')));
    expect([renamed, added].map((action) => action!.exposes)).toEqual([true, true]);
    expect([renamed, added].map((action) => opensToMore(action!))).toEqual([false, false]);
  });
});

describe('plan', () => {
  it.each([
    ['nothing changed', [spec('a')], [spec('a')], ['keep a']],
    ['a new service', [spec('a')], [spec('a'), spec('b')], ['keep a', 'open b']],
    ['a service removed', [spec('a'), spec('b')], [spec('a')], ['keep a', 'close b']],
    ['a target edited', [spec('a')], [spec('a', { target: { kind: 'unix', path: '/x' } })], ['update a']],
    ['a name edited', [spec('a')], [spec('a', { name: 'z' })], ['replace a']],
    ['moved to another relay', [spec('a')], [spec('a', { relays: [r2] })], ['replace a']],
    ['one relay added', [spec('a')], [spec('a', { relays: [r1, r2] })], ['keep a', 'open a']],
    ['one relay removed', [spec('a', { relays: [r1, r2] })], [spec('a')], ['keep a', 'close a']],
    ['a key renamed, its name kept', [spec('a')], [spec('b', { name: 'a' })], ['update b']],
    [
      'two names swapped',
      [spec('a'), spec('b')],
      [spec('a', { name: 'b' }), spec('b', { name: 'a' })],
      ['update a', 'update b'],
    ],
  ])('%s', (_title, before, after, expected) => {
    expect(kinds(plan(desired(...after), running(...before)))).toEqual(expected);
  });

  it('names what differs', () => {
    const [action] = plan(desired(spec('a', { carrier: 'tls', metadata: { x: '1' } })), running(spec('a')));
    expect(action).toMatchObject({ kind: 'update', changes: ['carrier', 'metadata'] });
  });

  it('brings a retiring lease back when the edit is undone, and drops its replacement', () => {
    const moved = desired(spec('a', { name: 'z' }));
    const half = applied(running(spec('a')), plan(moved, running(spec('a'))), moved);
    expect(half.map(({ retiring }) => retiring)).toEqual([true, false]);
    expect(kinds(plan(desired(spec('a')), half))).toEqual(['update a', 'close a']);
  });

  it('closes a retiring lease when its service is removed', () => {
    const moved = desired(spec('a', { name: 'z' }));
    const half = applied(running(spec('a')), plan(moved, running(spec('a'))), moved);
    expect(kinds(plan(desired(), half))).toEqual(['close a', 'close a']);
  });
});

const anySpec = (service: string) =>
  fc
    .record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'x', 'y'),
      port: fc.constantFrom(3000, 4000),
      relays: fc.uniqueArray(fc.constantFrom(r1, r2), { minLength: 1 }),
    })
    .map(({ name, port, relays }) =>
      spec(service, { name, relays, target: { kind: 'tcp', host: '127.0.0.1', port, tls: false } }),
    );

/** A valid configuration: no two services have the same name on one relay. */
const anyDesired = fc
  .tuple(...['a', 'b', 'c', 'd'].map((name) => fc.option(anySpec(name), { nil: undefined })))
  .map((services) => desired(...services.filter((one) => one !== undefined)))
  .filter(({ services }) => placementsAreUnique(services));

/** The settings of each placement. A lease does not depend on the other relays of its service. */
function settings(places: readonly Placement[]): Map<string, object> {
  return new Map(places.map((place) => [placementKey(place), { ...place.spec, relays: [] }]));
}

function placementsAreUnique(services: readonly ServiceSpec[]): boolean {
  const keys = services.flatMap((one) => one.relays.map((relay) => placementKey({ relay, spec: one })));
  return new Set(keys).size === keys.length;
}

describe('plan after any edit', () => {
  it('converges: a second plan keeps everything', () => {
    fc.assert(
      fc.property(
        fc.array(anyDesired, { minLength: 1, maxLength: 6 }),
        fc.array(fc.boolean(), { minLength: 6 }),
        (history, ready) => {
          let active: ActiveLease[] = [];
          history.forEach((next, index) => {
            active = applied(active, plan(next, active), next);
            if (ready[index]) active = settle(active);
            expect(plan(next, active).filter(({ kind }) => kind !== 'keep')).toEqual([]);
            const current = settle(active);
            expect(settings(current)).toEqual(settings([...placements(next).values()]));
          });
        },
      ),
    );
  });

  it('touches no other service when one changes', () => {
    fc.assert(
      fc.property(
        anyDesired,
        fc.constantFrom('a', 'b', 'c', 'd'),
        fc.integer({ min: 5000, max: 6000 }),
        (before, name, port) => {
          const after = {
            ...before,
            services: before.services.map((one) =>
              one.service === name
                ? { ...one, target: { kind: 'tcp', host: '127.0.0.1', port, tls: false } as const }
                : one,
            ),
          };
          const active = settle(applied([], plan(before, []), before));
          for (const action of plan(after, active)) {
            expect(action.kind).toBe(action.service === name ? 'update' : 'keep');
          }
        },
      ),
    );
  });

  it('never closes or replaces a wanted placement', () => {
    fc.assert(
      fc.property(anyDesired, anyDesired, (before, after) => {
        const active = settle(applied([], plan(before, []), before));
        const wanted = placements(after);
        for (const { kind, from } of plan(after, active)) {
          expect(wanted.has(from ?? '') && (kind === 'close' || kind === 'replace')).toBe(false);
        }
      }),
    );
  });
});
