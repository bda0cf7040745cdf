/** Visitors that a relay could not serve: their agent learns about them. */
import { describe, expect, it } from 'vitest';
import { describeStatus } from '../../src/cli/status/describe-status.js';
import { createStyle } from '../../src/cli/text/style.js';
import { agent, desired, handedOver, relay, service, visit } from '../support/world.js';
import { Peer, sendHello, settled } from './relay-peer.js';

describe('visitors that timed out on the relay', () => {
  it('are reported to the agent, which shows them in events and status', async () => {
    const at = await relay({ limits: { maxVisitorsPerIdentity: 1 } });
    const local = await handedOver();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', local.port)));
    await one.event('ready');
    await settled(() => at.counts().visitors === 0);
    await visit(at, 'web.localhost', one.ca);
    for (let visitor = 0; visitor < 2; visitor++) await (await sendHello(at, 'web.localhost')).closed;
    const reported = await one.event('unserved');
    expect(reported).toMatchObject({ service: 'web', reason: 'visitor_limit' });
    const sum = (): number =>
      one.events.reduce((all, event) => all + (event.event === 'unserved' ? event.count : 0), 0);
    await expect.poll(sum).toBe(2);
    const running = await one.runner.status();
    expect(running.leases).toMatchObject([{ visitorsUnserved: { visitor_limit: 2 } }]);
    const head = { file: null, pid: 1, identity: '', startedAt: '', revision: 1, rejected: [] };
    const shown = describeStatus({ ...head, ...running }, createStyle(false), Date.now()).join('\n');
    expect(shown).toContain('could not serve visitors: 2 (the limit of visitors is reached)');
  });

  it('are reported to a returning agent if it was disconnected', async () => {
    const at = await relay({ limits: { maxWaitingVisitorsPerLease: 1 } });
    const peer = await Peer.open(at);
    await peer.lease('web');
    peer.ws.terminate();
    await settled(() => at.stats().leasesAway === 1);
    await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
    await (
      await sendHello(at, 'web.localhost')
    ).closed;
    const local = await handedOver();
    const one = await agent({ identity: peer.identity });
    await one.runner.apply(desired([at.spec], service('web', local.port)));
    expect(await one.event('unserved')).toMatchObject({ service: 'web', reason: 'queue_full', count: 1 });
  });

  it('are not reported to an agent that does not understand it', async () => {
    const at = await relay({ limits: { maxWaitingVisitorsPerLease: 1 } });
    const peer = await Peer.open(at);
    await peer.lease('web');
    await sendHello(at, 'web.localhost');
    await settled(() => at.counts().waiting === 1);
    await (
      await sendHello(at, 'web.localhost')
    ).closed;
    peer.ws.terminate();
    await settled(() => at.stats().leasesAway === 1);
    // The next agent gets the report.
    const one = await agent({ identity: peer.identity });
    await one.runner.apply(desired([at.spec], service('web', (await handedOver()).port)));
    expect(await one.event('unserved')).toMatchObject({ reason: 'queue_full' });
  });
});
