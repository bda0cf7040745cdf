import { describe, expect, it } from 'vitest';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { chain, chainOf } from '../support/chain.js';
import { dataMiddleman } from '../support/data-middleman.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { agent, desired, relay, service } from '../support/world.js';
import { sendHello } from './relay-peer.js';

/**
 * A middleman terminates TLS of an agent's connections besides the control channel, with a certificate that the agent
 * trusts, and forwards the agent's bytes to the relay. The relay rejects them.
 */

/** A fatal TLS alert: the name is known, but no connection arrived to serve it. */
const INTERNAL_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 80]);

async function attacked(over: Partial<ServiceSpec>, maxVersion?: 'TLSv1.2') {
  const port = await freePort();
  const at = await relay({ publicPort: port, ports: { udp: 'any' }, limits: { visitorWaitMs: 300 } });
  const between = await dataMiddleman(at, port, maxVersion);
  const one = await agent();
  void one.runner.apply(desired([at.spec], service('web', 9, over)));
  return { at, between };
}

describe('a ticket that a middleman forwards', () => {
  it.each(['tls', 'ws'] as const)('opens no data connection of the carrier %s', async (carrier) => {
    const { at, between } = await attacked({ carrier });
    await eventually(() => expect(between.forwarded.length).toBeGreaterThan(1));
    const visitor = await sendHello(at, 'web.localhost');
    expect(await visitor.closed).toEqual({ how: 'end', received: INTERNAL_ERROR });
    for (const passed of between.forwarded)
      expect(passed).toEqual({ request: 'GET /v1/data HTTP/1.1', status: '403' });
  });

  it('opens no WebSocket for datagrams', async () => {
    const { between } = await attacked({ mode: 'udp', carrier: 'ws' });
    await eventually(() =>
      expect(between.forwarded).toContainEqual({ request: 'GET /v1/datagrams HTTP/1.1', status: '403' }),
    );
  });

  it('opens no connection to the next relay of a chain', async () => {
    const port = await freePort();
    const { entry, exit, relays } = await chain(2, {}, { publicPort: port });
    const between = await dataMiddleman(exit, port);
    const one = await agent();
    void one.runner.apply(desired([chainOf(relays)], service('web', 9, { carrier: 'tls' })));
    await eventually(() =>
      expect(between.forwarded).toContainEqual({
        request: `CONNECT localhost:${entry.port} HTTP/1.1`,
        status: '403',
      }),
    );
    expect(exit.counts().hops).toBe(0);
  });

  it('is not sent to a middleman in TLS 1.2', async () => {
    const { between } = await attacked({ carrier: 'tls' }, 'TLSv1.2');
    await eventually(() => expect(between.sessions()).toBeGreaterThan(1));
    expect(between.forwarded).toEqual([]);
  });
});
