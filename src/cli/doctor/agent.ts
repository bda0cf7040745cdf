import type { LeaseStatus } from '../../agent/status.js';
import { listOf } from '../../config/words/suggest.js';
import { PortalError } from '../../lib/errors.js';
import type { AgentStatus } from '../../reconcile/events.js';
import type { ControlClient } from '../control/client.js';
import { formatAgo, formatEnd } from '../text/amounts.js';
import { describeUnproven, describeVisits, nextTry, portToOpen, relayName } from '../reporters/describe.js';
import { Subject } from './report.js';

export interface AgentFindings {
  readonly subject: Subject;
  readonly runs: boolean;
  /** Undefined when no agent is running, or it did not respond. */
  readonly status?: AgentStatus;
}

/** Asks the running agent to visit every service again. */
export async function checkAgent(agent: ControlClient): Promise<AgentFindings> {
  const subject = new Subject('agent');
  let status: AgentStatus;
  try {
    status = await agent.prove();
  } catch (error) {
    const isAbsent = error instanceof PortalError && error.code === 'not_running';
    if (isAbsent) subject.ok('agent.running', 'no agent is running for this file; `portal up` starts one');
    else subject.failed('agent.running', error);
    return { subject, runs: !isAbsent };
  }
  subject.ok('agent.running', `pid ${status.pid}`);
  if (status.rejected.length > 0)
    subject.warning('agent.revision', 'the file on disk was rejected; the agent runs the last valid one');
  return { subject, runs: true, status };
}

/**
 * Reports the leases of the agent.
 * @param troubled keys of the relays with a problem that is reported already
 */
export function checkLeases({ subject, status }: AgentFindings, troubled: ReadonlySet<string>): void {
  if (!status) return;
  const lost = new Set(status.relays.filter(({ state }) => state !== 'connected').map(({ relay }) => relay));
  const ready = new Set(status.leases.flatMap(({ service, phase }) => (phase === 'ready' ? [service] : [])));
  for (const { lease, services } of groupsOf(status.leases))
    checkLease(
      lease,
      services,
      subject,
      services.every((service) => ready.has(service)),
      lost.has(lease.relay) && troubled.has(lease.relay),
    );
  for (const { service, error } of status.unplaced ?? [])
    subject.problem('agent.lease', `${service} has no relay: ${error.message}`, error.hint);
}

const OVERLOADED = 'If that works, this machine or its relay is overloaded.';

/** @param port the service's own port at the relay, such as `20005/tcp` */
const unprovenHint = (port: string | undefined): string =>
  port === undefined
    ? `Visit the address from another network. ${OVERLOADED} If not, use another relay.`
    : `Open ${port} in the firewall of the relay's server and at its hosting provider. Then connect from another network. ${OVERLOADED}`;

/** The agent proves most modes with its own visit. Undefined for other modes. */
const visited = (at: string | undefined): string =>
  at === undefined ? '' : `; the agent's own visit got through ${formatAgo(Date.now() - Date.parse(at))}`;

/** Leases of one relay that failed for the same reason, such as a changed key of the relay, are one finding. */
function groupsOf(leases: readonly LeaseStatus[]): { lease: LeaseStatus; services: string[] }[] {
  const groups = new Map<string, { lease: LeaseStatus; services: string[] }>();
  for (const [index, lease] of leases.entries()) {
    const { relay, phase, error } = lease;
    const key = JSON.stringify(error ? [relay, phase, error] : index);
    const group = groups.get(key);
    if (group) group.services.push(lease.service);
    else groups.set(key, { lease, services: [lease.service] });
  }
  return [...groups.values()];
}

/**
 * @param isReady whether the services are ready on any relay
 * @param isRelayLost whether the relay is lost because of a problem that is reported already
 */
function checkLease(
  lease: LeaseStatus,
  services: readonly string[],
  subject: Subject,
  isReady: boolean,
  isRelayLost: boolean,
): void {
  const { relay, phase, error, provenAt, unproven, certificate } = lease;
  const name = `${listOf(services, 'and')} on ${relayName(relay)}`;
  const address = lease.url ?? lease.tcpAddr ?? lease.udpAddr ?? '';
  if (unproven) {
    const what = `${name}: ${address} is ready but unverified`;
    if (unproven.failures === 0) subject.ok('agent.lease', `${what}: ${describeUnproven(unproven, lease)}`);
    else
      subject.warning('agent.lease', `${what}: ${describeVisits(unproven)}`, unprovenHint(portToOpen(lease)));
  } else if (phase === 'ready') subject.ok('agent.lease', `${name}: ${address} is ready${visited(provenAt)}`);
  else if (error?.code === 'capability_missing' && isReady)
    subject.warning('agent.lease', `${name} is not published: ${error.message}`, error.hint);
  else {
    const verb = services.length === 1 ? 'is' : 'are';
    const state = phase === 'failed' ? 'failed' : `${verb} ${phase}`;
    const next = lease.nextInMs === undefined ? '' : `, ${nextTry(lease.nextInMs)}`;
    if (isRelayLost) subject.consequence('agent.lease', `${name} ${state}${next}`, `relay ${relay}`);
    else
      subject.problem(
        'agent.lease',
        `${name} ${state}${next}${error ? `: ${error.message}` : ''}`,
        error?.hint,
      );
  }
  const renewal =
    certificate?.nextAt === undefined ? '' : `, ${nextTry(Date.parse(certificate.nextAt) - Date.now())}`;
  if (certificate?.notAfter !== undefined && Date.parse(certificate.notAfter) <= Date.now())
    subject.problem(
      'agent.certificate',
      `${name}: browsers reject the certificate, which expired on ${formatEnd(new Date(certificate.notAfter))}`,
      'Renew it. The agent loads a new file automatically.',
      { expiresAt: certificate.notAfter },
    );
  if (certificate?.error && !error)
    subject.warning(
      'agent.certificate',
      `${name}: the new certificate failed${renewal}: ${certificate.error.message}`,
      certificate.error.hint,
    );
}
