import { expect, it, vi } from 'vitest';
import { parseTarget } from '../../../../net/target/target.js';
import { service } from '../../../../../test/support/world.js';
import type { RouteSpec, ServiceSpec } from '../../../spec.js';
import { HTTP_LIMITS } from '../limits.js';
import type { Protocols } from './upstream.js';
import { Upstreams } from './upstreams.js';

const upstreamsOf = (): Upstreams => new Upstreams(HTTP_LIMITS, {} as Protocols);

const routed = (targets: Record<string, number>, over: Partial<ServiceSpec> = {}): ServiceSpec =>
  service('app', 1, {
    mode: 'http',
    routes: Object.entries(targets).map(([prefix, port]): RouteSpec => ({
      prefix,
      target: parseTarget(port),
      stripPrefix: false,
      headers: {},
      responseHeaders: {},
    })),
    ...over,
  });

/** The upstreams of the routes, in order. */
const opened = (upstreams: Upstreams, spec: ServiceSpec) =>
  [...upstreams.routesOf(spec).routes].map(({ upstream }) => upstream);

it('shares an upstream between routes with one target, and keeps it when routes change', () => {
  const upstreams = upstreamsOf();
  const [root, api, other] = opened(upstreams, routed({ '/': 8001, '/api': 8001, '/other': 8002 }));
  expect(api).toBe(root);
  expect(other).not.toBe(root);
  expect(opened(upstreams, routed({ '/moved': 8002, '/': 8003 }))[0]).toBe(other);
});

it('opens another upstream for other TLS settings', () => {
  const upstreams = upstreamsOf();
  const [former] = opened(upstreams, routed({ '/': 8001 }));
  expect(opened(upstreams, routed({ '/': 8001 }, { targetTls: { serverName: 'a.test' } }))[0]).not.toBe(
    former,
  );
});

it('retires an upstream without a route, and counts its requests until the last one ends', () => {
  const upstreams = upstreamsOf();
  const [former, present] = opened(upstreams, routed({ '/': 8001, '/api': 8002 }));
  const [cutFormer, cutPresent] = [vi.fn<() => void>(), vi.fn<() => void>()];
  const ended = former!.lasting.upgraded(() => undefined);
  former!.lasting.eventStream(cutFormer);
  present!.lasting.eventStream(cutPresent);
  expect(upstreams.retiring).toBe(0);
  upstreams.routesOf(routed({ '/api': 8002 }));
  expect(upstreams.retiring).toBe(1);
  expect(cutFormer).toHaveBeenCalled();
  ended();
  expect(upstreams.retiring).toBe(0);
  expect(cutPresent).not.toHaveBeenCalled();
  upstreams.retire(1_000);
  expect(cutPresent).toHaveBeenCalledOnce();
  upstreams.destroy();
});
