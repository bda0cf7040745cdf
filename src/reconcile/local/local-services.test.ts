import { describe, expect, it, onTestFinished } from 'vitest';
import { service } from '../../../test/support/world.js';
import type { ServiceSpec } from '../../agent/spec.js';
import { formatTarget, parseTarget } from '../../net/target/target.js';
import { LocalServices } from './local-services.js';

/** Local services whose checks find what the test says. Records events and calls in order. */
function locals({ isStarting = false } = {}) {
  const log: string[] = [];
  const found: { target?: string | undefined; health?: string | undefined } = {};
  const local = new LocalServices({
    isStarting: () => isStarting,
    emit: (event) => {
      if (event.event === 'target')
        log.push(
          `${event.reachable ? 'reachable' : 'unreachable'}${event.routes ? ` ${event.routes.join()}` : ''}`,
        );
      if (event.event === 'health') log.push(event.healthy ? 'healthy' : 'unhealthy');
    },
    onReachable: () => log.push('onReachable'),
    onChange: () => log.push('onChange'),
    checks: {
      target: () => Promise.resolve({ error: found.target }),
      health: () => Promise.resolve(found.health),
    },
  });
  onTestFinished(() => local.close());
  return { local, found, log };
}

const WATCHED: ServiceSpec = service('app', 3000, {
  health: { path: '/', intervalMs: 60_000, timeoutMs: 1_000 },
});

describe('a local service', () => {
  it('is up once its target has responded', async () => {
    const { local, log } = locals();
    local.follow([service('app', 3000)]);
    expect(local.isUp('app')).toBe(false);
    await local.known();
    expect(local.isUp('app')).toBe(true);
    expect(log).toEqual(['reachable', 'onReachable', 'onChange']);
  });

  it('has a verdict for each target, with its routes', async () => {
    const { local, log } = locals();
    const [main, api] = [parseTarget(3000), parseTarget(3001)];
    const routes = [
      { prefix: '/', target: main },
      { prefix: '/api', target: api },
      { prefix: '/v1', target: api },
    ] as unknown as ServiceSpec['routes'];
    local.follow([service('app', 3000, { mode: 'http', target: main, routes })]);
    await local.known();
    expect(log.filter((each) => each.startsWith('reachable'))).toEqual(['reachable /', 'reachable /api,/v1']);
  });

  it('is reported as unreachable before it is reported as unhealthy', async () => {
    const { local, found, log } = locals();
    Object.assign(found, { target: 'refused', health: 'no response' });
    local.follow([WATCHED]);
    await local.now();
    expect(log).toEqual(['unreachable', 'onChange', 'unhealthy', 'onChange']);
    expect(local.errorOf('app')).toBe('refused');
    expect(local.isReachable('app')).toBe(false);
  });

  it('may be reachable and unhealthy', async () => {
    const { local, found } = locals();
    found.health = 'status 500';
    local.follow([WATCHED]);
    await local.now();
    expect([local.isReachable('app'), local.isUp('app')]).toEqual([true, false]);
    expect(local.errorOf('app')).toBe('status 500');
    expect(local.targetErrorsOf('app')).toEqual({});
  });

  it('is not reported as unhealthy while its program starts', async () => {
    const { local, found, log } = locals({ isStarting: true });
    found.health = 'status 503';
    local.follow([WATCHED]);
    await local.now();
    expect(log).not.toContain('unhealthy');
    expect(local.healthErrorOf('app')).toBe('status 503');
  });

  it('loses what is known of its protocol when it becomes unhealthy', async () => {
    const { local, found } = locals();
    const forgotten: string[] = [];
    local.protocols.forget = (target) => void forgotten.push(target);
    found.health = 'status 500';
    local.follow([WATCHED]);
    await local.now();
    expect(forgotten).toEqual([formatTarget(WATCHED.target)]);
  });
});
