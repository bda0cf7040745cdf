import type { FromRelay } from '../../protocol/messages.js';
import { publicAddressOf } from '../addresses.js';
import type { LeaseRecord } from '../directory/record.js';
import type { SessionContext } from './session.js';

/** Converts between the state of a relay and the messages of a session. */

type WelcomeContext = Pick<
  SessionContext,
  'publicPort' | 'datagramPort' | 'capabilities' | 'carriers' | 'heartbeatMs'
>;

/** Tells an agent that its session is open, and what this relay offers. */
export function welcomeOf(session: string, context: WelcomeContext): FromRelay<'welcome'> {
  const { publicPort, datagramPort, capabilities, carriers, heartbeatMs } = context;
  return {
    type: 'welcome',
    session,
    publicPort,
    ...(datagramPort !== undefined && { datagramPort }),
    capabilities: [...capabilities],
    carriers: [...carriers],
    heartbeatMs,
    ticketLine: true,
  };
}

type OpenedContext = Pick<SessionContext, 'domain' | 'publicPort' | 'ports'>;

/** The response to the request `id`, which opened a lease. */
export function openedOf(
  id: number,
  record: Pick<LeaseRecord, 'id' | 'hostname' | 'kind' | 'port' | 'portHost'>,
  context: OpenedContext,
): FromRelay<'lease.opened'> {
  const { hostname, kind } = record;
  const ports = kind === 'tls' ? undefined : context.ports.rangeOf(kind);
  return {
    type: 'lease.opened',
    id,
    lease: record.id,
    hostname,
    ...publicAddressOf(record, context),
    ...(ports && { ports }),
  };
}
