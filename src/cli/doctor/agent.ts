import type { LeaseStatus } from '../../agent/status.js';
import { PortalError } from '../../lib/errors.js';
import type { AgentStatus } from '../../reconcile/events.js';
import type { ControlClient } from '../control/client.js';
import { describeUnproven, relayName } from '../reporters/describe.js';
import { Subject } from './report.js';

/** What an agent that runs says itself: it is asked to visit every service anew. */

export interface AgentFindings {
  readonly subject: Subject;
  readonly runs: boolean;
  /** What it said. */
  readonly status?: AgentStatus;
}

export async function checkAgent(agent: ControlClient): Promise<AgentFindings> {
  const subject = new Subject('agent');
  let status: AgentStatus;
  try {
    status = await agent.prove();
  } catch (error) {
    const isAbsent = error instanceof PortalError && error.code === 'not_running';
    if (isAbsent) subject.ok('agent.running', 'none runs for this file; `portal up` starts one');
    else subject.failed('agent.running', error);
    return { subject, runs: !isAbsent };
  }
  subject.ok('agent.running', `pid ${status.pid}, revision ${status.revision}`);
  if (status.rejected.length > 0)
    subject.warning('agent.revision', 'the file on disk was refused; what runs is the last good one');
  const ready = new Set(status.leases.flatMap(({ service, phase }) => (phase === 'ready' ? [service] : [])));
  for (const lease of status.leases) checkLease(lease, subject, ready.has(lease.service));
  for (const { service, error } of status.unplaced ?? [])
    subject.problem('agent.lease', `${service} has no relay: ${error.message}`, error.hint);
  return { subject, runs: true, status };
}

const HINT_UNPROVEN =
  'Visit the address from another network. If that works, this machine or its relay is too busy; if not, use another relay.';

/** @param isReady whether visitors reach the service, on this relay or another */
function checkLease(lease: LeaseStatus, subject: Subject, isReady: boolean): void {
  const { service, relay, phase, error, provenAt, unproven, certificate } = lease;
  const name = `${service} on ${relayName(relay)}`;
  const address = lease.url ?? lease.tcpAddr ?? lease.udpAddr ?? '';
  if (unproven) {
    const what = `${name}: the relay says that ${address} is open, unproven: ${describeUnproven(unproven)}`;
    if (unproven.failures === 0) subject.ok('agent.lease', what);
    else subject.warning('agent.lease', what, HINT_UNPROVEN);
  } else if (phase === 'ready')
    subject.ok('agent.lease', `${name}: visitors of ${address} get through, proven ${provenAt ?? 'never'}`);
  else if (error?.code === 'capability_missing' && isReady)
    subject.warning('agent.lease', `${name} is left out: ${error.message}`, error.hint);
  else subject.problem('agent.lease', `${name} is ${phase}${error ? `: ${error.message}` : ''}`, error?.hint);
  if (certificate?.error)
    subject.warning(
      'agent.certificate',
      `${name}: no new certificate: ${certificate.error.message}`,
      [certificate.error.hint, `It is tried again at ${certificate.nextAt}.`].filter(Boolean).join(' '),
    );
}
