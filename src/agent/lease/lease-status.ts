import { formatTarget } from '../../net/target/target.js';
import { gatesOf } from '../access/kinds.js';
import { NO_TRAFFIC } from '../modes/mode.js';
import { summaryOf } from '../session/phase.js';
import type { ServedAs, ServiceSpec } from '../spec.js';
import type { LeaseStatus, Unproven } from '../status.js';
import type { LeaseParts } from './parts.js';

type Serving = Pick<LeaseParts, 'serving'>;

/** A lease as `portal status` shows it. `relay` is the relay's key, as in `relayKey`. */
export function leaseStatus(spec: ServiceSpec, relay: string, parts: Omit<LeaseParts, 'gates'>): LeaseStatus {
  const { phase, held, prover, serving, replica } = parts;
  const refused = parts.rejections.counts();
  const gates = gatesOf(spec.access);
  const { provenAt } = prover.proof;
  const unproven = unprovenOf(parts);
  return {
    service: spec.service,
    relay,
    ...phase.status(),
    ...(held.id !== undefined && { lease: held.id }),
    ...held.address,
    ...otherPortOf(spec, parts),
    ...(provenAt && { provenAt: provenAt.toISOString() }),
    ...(unproven && { unproven }),
    ...(serving.now?.traffic() ?? NO_TRAFFIC),
    ...(gates && { gates }),
    ...(refused && { refused }),
    ...unservedOf(parts.unserved.counts()),
    ...(phase.now === 'ready' && replica.status()),
    ...certificateOf(parts),
    mode: spec.mode,
    servedAs: servedAsOf(spec, parts),
    target: formatTarget(spec.target),
    ...routesOf(spec),
    ...holdOf(spec),
  };
}

/** The requested port that the relay did not assign, and the ports that it offers. Empty if it assigned that port. */
export function otherPortOf(
  { port: asked }: ServiceSpec,
  { held: { publicPort: given, portRange } }: Pick<LeaseParts, 'held'>,
): Pick<LeaseStatus, 'askedPort' | 'portRange'> {
  if (asked === undefined || given === undefined || asked === given) return {};
  return { askedPort: asked, ...(portRange && { portRange }) };
}

/** Why a lease is ready without a recent successful visit. Undefined if it is proven or not ready. */
export function unprovenOf({ phase, prover }: Pick<LeaseParts, 'phase' | 'prover'>): Unproven | undefined {
  return phase.now === 'ready' ? prover.proof.unproven : undefined;
}

/** What visitors are served as. Undecided also while nothing serves the lease. */
export function servedAsOf({ mode }: ServiceSpec, { serving }: Serving): ServedAs {
  return serving.now?.servedAs() ?? (mode === 'auto' ? 'undecided' : mode);
}

function certificateOf({ serving }: Serving): Pick<LeaseStatus, 'certificate'> {
  const { notAfter, nextAt, error, expiresSoon } = serving.now?.renewal?.() ?? {};
  if (notAfter === undefined && error === undefined) return {};
  return {
    certificate: {
      ...(notAfter !== undefined && { notAfter }),
      ...(nextAt !== undefined && { nextAt }),
      ...(error && { error: summaryOf(error) }),
      ...(expiresSoon && { expiresSoon }),
    },
  };
}

function unservedOf(counts: Partial<Record<string, number>>): Pick<LeaseStatus, 'visitorsUnserved'> {
  return Object.keys(counts).length === 0 ? {} : { visitorsUnserved: counts as Record<string, number> };
}

function routesOf({ routes }: ServiceSpec): Pick<LeaseStatus, 'routes'> {
  if (routes.length === 0) return {};
  return { routes: Object.fromEntries(routes.map(({ prefix, target }) => [prefix, formatTarget(target)])) };
}

function holdOf({ routes, hold }: ServiceSpec): Pick<LeaseStatus, 'holdMs'> {
  const all = routes.length > 0 ? routes : [{ prefix: '/', hold: undefined }];
  const holding = all.flatMap((route) => {
    const ms = (route.hold ?? hold)?.forMs;
    return ms === undefined ? [] : [[route.prefix, ms] as const];
  });
  return holding.length === 0 ? {} : { holdMs: Object.fromEntries(holding) };
}
