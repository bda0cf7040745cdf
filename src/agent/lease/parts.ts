import type { PortalError } from '../../lib/errors.js';
import { Tally } from '../../lib/tally.js';
import type { SignInFailure } from '../access/gate.js';
import { Gates } from '../access/gates.js';
import { Rejections } from '../access/rejections.js';
import { Prover } from '../proof/prover.js';
import { PhaseRecord } from '../session/phase.js';
import { CurrentServing } from './current-serving.js';
import { HeldLease } from './held-lease.js';
import type { AgentLease } from './lease.js';
import type { LeaseOptions } from './options.js';
import { Replica, type LeaseNow } from './replica.js';

/** The parts of a lease. Each owns its state. */
export interface LeaseParts {
  readonly phase: PhaseRecord;
  readonly prover: Prover;
  readonly held: HeldLease;
  readonly replica: Replica;
  readonly serving: CurrentServing;
  readonly gates: Gates;
  readonly rejections: Rejections;
  /** Visitors that the relay gave up on, by reason. */
  readonly unserved: Tally<string>;
}

/** How the parts see their lease. */
export interface LeaseView {
  readonly lease: AgentLease;
  readonly now: () => Omit<LeaseNow, 'id'>;
  /** Called when visitors no longer reach a ready lease. */
  readonly onLost: (failure: PortalError) => void;
}

/** Makes and connects the parts of a lease. They call nothing before they are used. */
export function makeParts(options: LeaseOptions, { lease, now, onLost }: LeaseView): LeaseParts {
  const { spec, sessionKey, identity, shares, proxyFor, relay } = options;
  const { log } = now();
  const rejections = new Rejections((reason, address) => options.onVisitorRejected(lease, reason, address));
  const onSignIn = (failure: SignInFailure | undefined): void => options.onSignIn?.(lease, failure);
  const gates = new Gates({ spec, sessionKey, identity, shares, rejections, proxyFor, onSignIn, log });
  const phase = new PhaseRecord(() => options.onPhase(lease));
  const held: HeldLease = new HeldLease(relay, () => replica.isHealthy);
  const replica = new Replica(() => ({ ...now(), id: held.id }));
  const prover = new Prover(
    {
      relay,
      pace: options.pace,
      everyMs: options.proveEveryMs,
      onChange: () => phase.now === 'ready' && options.onPhase(lease),
      onLost,
    },
    log,
  );
  const serving = new CurrentServing({
    spec: () => now().spec,
    log: () => now().log,
    gates,
    certificates: options.certificates,
    targets: options.targets,
    sessionKey,
    recorders: options.recorders,
    accessLog: options.accessLog,
    held: options.held,
    onNameRejected: (rejection) => options.onNameRejected?.(lease, rejection),
    onCertificate: (news) => options.onCertificate?.(lease, news),
    onServedAs: () => options.onServedAs(lease),
    onReached: (target, failure) => options.onReached(lease, target, failure),
  });
  return { phase, prover, held, replica, serving, gates, rejections, unserved: new Tally() };
}
