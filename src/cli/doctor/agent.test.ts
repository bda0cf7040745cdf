import { expect, it } from 'vitest';
import type { LeaseStatus } from '../../agent/status.js';
import type { ControlClient } from '../control/client.js';
import { checkAgent } from './agent.js';

const RELAY = 'https://relay.example.com';
const changed = { code: 'relay_key_changed', message: 'its key is not the one in portal.lock' } as const;

async function leaseFindings(leases: readonly Partial<LeaseStatus>[]): Promise<string[]> {
  const status = { pid: 1, revision: 1, rejected: [], leases };
  const { subject } = await checkAgent({ prove: () => Promise.resolve(status) } as unknown as ControlClient);
  return subject.findings.filter(({ check }) => check === 'agent.lease').map(({ message }) => message);
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

it('says when a rejected order is tried again', async () => {
  const error = { code: 'acme_rejected', message: 'no address' } as const;
  const web = { service: 'web', relay: RELAY, phase: 'retrying', error, nextInMs: 47_200 } as const;
  const certificate = { error, nextAt: new Date().toISOString() };
  expect(await leaseFindings([{ ...web, certificate }])).toEqual([
    `web on ${RELAY} is retrying, next try in 48 s: no address`,
  ]);
});
