import { describe, expect, it } from 'vitest';
import { service } from '../../../test/support/world.js';
import type { ProveOptions } from '../serving/serving.js';
import type { OpenSession } from '../session/open-session.js';
import { ownVisit, type OwnVisitOptions } from './own-visit.js';

type Via = { hides: boolean } | undefined;

/** Makes the visit. Returns what the serving was asked to prove, and how often the relay was asked to send it here. */
async function visit({
  spec = service('app', 1),
  via = undefined as Via,
  held = { id: 'l1' } as OwnVisitOptions['held'],
}) {
  const proven: ProveOptions[] = [];
  let probing = 0;
  const tunnel = { name: 'tunnel' };
  const channel = { relayAddress: '192.0.2.1', welcome: { publicPort: 443 }, via };
  const outcome = await ownVisit({
    spec,
    held,
    session: { channel, tunnel } as unknown as OpenSession,
    serving: { prove: (options) => Promise.resolve(void proven.push(options)) },
    replica: {
      whileProbing: (_channel, make) => {
        probing++;
        return make();
      },
    },
    signal: new AbortController().signal,
  })();
  return { outcome, proven: proven[0], probing, tunnel };
}

const SHARED_PORT = service('app', 1, { mode: 'tcp', replicas: 'spread' });

describe('a visit of the agent itself', () => {
  it("goes to the relay's public port, or to the port of the lease", async () => {
    expect((await visit({})).proven).toMatchObject({ address: '192.0.2.1', port: 443, lease: 'l1' });
    const held = { id: 'l2', publicHost: 'node2.example', publicPort: 20_001 };
    expect((await visit({ held })).proven).toMatchObject({ address: 'node2.example', port: 20_001 });
  });

  it('goes through the relays of a chain, and through a proxy as the session does', async () => {
    const [chain, proxy] = [{ hides: true }, { hides: false }];
    const through = await visit({ via: chain });
    expect(through.proven?.via).toBe(through.tunnel);
    expect((await visit({ via: proxy })).proven?.via).toBe(proxy);
  });

  it('to a shared port is sent to this replica', async () => {
    expect((await visit({ spec: SHARED_PORT })).probing).toBe(1);
    expect((await visit({ spec: service('app', 1, { replicas: 'spread' }) })).probing).toBe(0);
  });

  it('to a shared port is impossible in a chain', async () => {
    const { outcome, proven } = await visit({ spec: SHARED_PORT, via: { hides: true } });
    expect(outcome).toBe('unproven');
    expect(proven).toBeUndefined();
  });
});
