/** A lease that the relay has opened, but that no visit of the agent has reached. */
import { describe, expect, it } from 'vitest';
import { describeStatus } from '../../src/cli/status/describe-status.js';
import { createStyle } from '../../src/cli/text/style.js';
import { eavesdropper } from '../support/terminating-relay.js';
import { agent, desired, get, httpService, relay, service } from '../support/world.js';

/** A relay that is slow on a busy machine, or an attacker's: the agent's own visits get no response. */
async function slowRelay() {
  let port = 0;
  const between = await eavesdropper('web.localhost', () => port);
  between.hold();
  const at = await relay({ publicPort: between.port });
  port = at.port;
  const { port: target } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  const applied = one.runner.apply(desired([at.spec], service('web', target)));
  return { at, between, one, applied };
}

const shown = async (one: Awaited<ReturnType<typeof agent>>): Promise<string> => {
  const status = { file: null, pid: 1, identity: '', startedAt: '', revision: 1, rejected: [] };
  const lines = describeStatus({ ...status, ...(await one.runner.status()) }, createStyle(false), Date.now());
  return lines.join('\n');
};

describe('an agent’s own visit that times out', () => {
  it('leaves the lease ready but unproven, which events and status show, until a later visit succeeds', async () => {
    const { at, between, one, applied } = await slowRelay();
    const first = await one.event('lease', ({ phase }) => phase === 'ready');
    expect(first).toMatchObject({ proven: false, unproven: { failures: 1 } });
    await applied;
    expect(await one.event('ready')).toMatchObject({ unproven: ['web'] });
    expect(await shown(one)).toMatch(/web +ready \(unverified\).*never.*\n.*timed out/);
    // Visitors on another path are served meanwhile.
    expect(await get(at, 'web.localhost', one.ca)).toMatchObject({ status: 200 });
    between.release();
    const later = await one.event('lease', ({ proven }) => proven === true);
    expect(later).toMatchObject({ phase: 'ready', lease: first.lease, url: first.url });
    expect(later).not.toHaveProperty('unproven');
    expect(await shown(one)).not.toContain('unverified');
    const phases = one.events.flatMap((event) => (event.event === 'lease' ? event.phase : []));
    expect(phases).toEqual(['connecting', 'opening', 'ready', 'ready']);
  });

  it('does not excuse a relay that reads traffic at the next visit', async () => {
    const { at, between, one } = await slowRelay();
    await one.event('lease', ({ phase }) => phase === 'ready');
    between.terminate(await at.ca.issue(['web.localhost']));
    between.release();
    const { error } = await one.event('lease', ({ phase }) => phase === 'failed');
    expect(error).toMatchObject({ code: 'intercepted' });
  });
});
