import { expect, it } from 'vitest';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';
import type { ControlClient } from '../control/client.js';
import { checkAgent, checkLeases } from './agent.js';

const RELAY = 'https://relay.example.com';
const changed = { code: 'relay_key_changed', message: 'its key is not the one in portal.lock' } as const;

const leaseFindings = async (leases: readonly Partial<LeaseStatus>[]): Promise<string[]> =>
  (await findingsOf(leases)).map(({ message }) => message);

async function findingsOf(
  leases: readonly Partial<LeaseStatus>[],
  relays: readonly Partial<RelayStatus>[] = [],
  troubled: readonly string[] = [],
) {
  const status = { pid: 1, revision: 1, rejected: [], leases, relays };
  const agent = await checkAgent({ prove: () => Promise.resolve(status) } as unknown as ControlClient);
  checkLeases(agent, new Set(troubled));
  return agent.subject.findings.filter(({ check }) => check === 'agent.lease');
}

it('reports an error of a relay once for all its services', async () => {
  expect(
    await leaseFindings([
      { service: 'web', relay: RELAY, phase: 'failed', error: changed },
      { service: 'api', relay: RELAY, phase: 'failed', error: changed },
      { service: 'web', relay: 'https://other.example.com', phase: 'failed', error: changed },
    ]),
  ).toEqual([
    `web and api on ${RELAY} failed: ${changed.message}`,
    `web on https://other.example.com failed: ${changed.message}`,
  ]);
});

it('reports services separately if they fail for different reasons', async () => {
  const taken = { code: 'name_taken', message: '"api" is taken' } as const;
  expect(
    await leaseFindings([
      { service: 'web', relay: RELAY, phase: 'failed', error: changed },
      { service: 'api', relay: RELAY, phase: 'failed', error: taken },
      { service: 'ok', relay: RELAY, phase: 'ready', url: 'https://ok.relay.example.com' },
    ]),
  ).toEqual([
    `web on ${RELAY} failed: ${changed.message}`,
    `api on ${RELAY} failed: ${taken.message}`,
    `ok on ${RELAY}: https://ok.relay.example.com is ready`,
  ]);
});

it('refers to a problem of the relay that is reported already', async () => {
  const error = { code: 'relay_unreachable', message: 'nothing listens there' } as const;
  const web = { service: 'web', relay: RELAY, phase: 'retrying', error } as const;
  const lost = { relay: RELAY, state: 'retrying' } as const;
  expect(await findingsOf([web], [lost], [RELAY])).toMatchObject([
    {
      level: 'problem',
      message: `web on ${RELAY} is retrying: see relay ${RELAY} above`,
      because: `relay ${RELAY}`,
    },
  ]);
  for (const [state, troubled] of [
    ['connected', [RELAY]],
    ['retrying', []],
  ] as const) {
    const [finding] = await findingsOf([web], [{ ...lost, state }], troubled);
    expect(finding?.message).toContain(error.message);
    expect(finding).not.toHaveProperty('because');
  }
});

it('says when the agent retries a rejected order', async () => {
  const error = { code: 'acme_rejected', message: 'no address' } as const;
  const web = { service: 'web', relay: RELAY, phase: 'retrying', error, nextInMs: 47_200 } as const;
  const certificate = { error, nextAt: new Date().toISOString() };
  expect(await leaseFindings([{ ...web, certificate }])).toEqual([
    `web on ${RELAY} is retrying, next try in 48 s: no address`,
  ]);
});

it.each([
  ['tcpAddr', '20005/tcp'],
  ['udpAddr', '20005/udp'],
])('names the port to open at the relay for a visit to %s that timed out', async (key, port) => {
  const unproven = { since: '', failures: 3, reason: 'visitors do not reach port 20005: timeout' };
  const pg = { service: 'pg', relay: RELAY, phase: 'ready', unproven } as const;
  const [finding] = await findingsOf([{ ...pg, [key]: 'relay.example.com:20005' }]);
  expect(finding?.hint).toContain(`Open ${port} in the firewall of the relay's server`);
  const [local] = await findingsOf([{ ...pg, [key]: 'localhost:20005' }]);
  expect(local?.hint).toMatch(/^Visit the address from another network/);
});

it('names the port of a service that the agent cannot visit', async () => {
  const unproven = { since: '', failures: 0, reason: 'no visit' };
  const udp = { service: 'dns', relay: RELAY, phase: 'ready', unproven, udpAddr: 'r.example:20005' } as const;
  expect(await leaseFindings([udp])).toEqual([
    `dns on ${RELAY}: r.example:20005 is ready but unverified: no visit; if visitors cannot connect either, open 20005/udp in the firewall of the relay's server`,
  ]);
});
