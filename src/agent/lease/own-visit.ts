import type { Visit } from '../proof/prover.js';
import type { Serving } from '../serving/serving.js';
import type { OpenSession } from '../session/open-session.js';
import { kindOf, type ServiceSpec } from '../spec.js';
import type { HeldLease } from './held-lease.js';
import type { Replica } from './replica.js';

export interface OwnVisitOptions {
  readonly spec: ServiceSpec;
  readonly serving: Pick<Serving, 'prove'>;
  readonly session: Pick<OpenSession, 'channel' | 'datagrams' | 'tunnel'>;
  readonly held: Pick<HeldLease, 'id' | 'publicHost' | 'publicPort'>;
  readonly replica: Pick<Replica, 'whileProbing'>;
  readonly signal: AbortSignal;
}

/** A visit of the agent to a lease's public address, as a visitor makes it. */
export function ownVisit({ spec, serving, session, held, replica, signal }: OwnVisitOptions): Visit {
  const { channel, datagrams, tunnel } = session;
  const { relayAddress, welcome, via } = channel;
  const prove = (): Promise<void | 'unproven'> =>
    serving.prove({
      address: held.publicHost ?? relayAddress,
      port: held.publicPort ?? welcome.publicPort,
      lease: held.id ?? '',
      datagrams,
      // A visitor's ClientHello names the host, so it must not pass other relays in the clear.
      via: via?.hides ? tunnel : via,
      signal,
    });
  if (!spec.replicas || kindOf(spec.mode) === 'tls') return prove;
  // A visit to a port has no TLS that another replica could prove, so it must arrive here.
  if (via?.hides) return () => Promise.resolve('unproven');
  return () => replica.whileProbing(channel, prove);
}
