import { relayKey, type RelaySpec, type ServiceSpec, type UrlRelay } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { placementKey, type ActiveLease } from '../plan.js';

/** `desired` with the chosen relays on every service that uses the pool. */
export function withChosen(desired: Desired, chosen: readonly UrlRelay[]): Desired {
  const named = new Set(desired.relays.map(relayKey));
  const further = chosen.filter((relay) => !named.has(relayKey(relay)));
  return withRelays(desired, further, () => further);
}

/**
 * `desired` with services that have no relay yet at their current relays, so that no lease closes before a new one can open.
 */
export function withCurrentRelays(desired: Desired, placed: readonly ActiveLease[]): Desired {
  const relaysOf = ({ service, relays }: ServiceSpec): RelaySpec[] =>
    placed.flatMap(({ spec, relay, retiring }) =>
      spec.service === service && relays.length === 0 && !retiring ? [relay] : [],
    );
  const kept = desired.services.filter(({ onPool }) => onPool).flatMap(relaysOf);
  const each = [...new Map(kept.map((relay) => [relayKey(relay), relay])).values()];
  return withRelays(desired, each, relaysOf);
}

function withRelays(
  desired: Desired,
  relays: readonly RelaySpec[],
  relaysOf: (spec: ServiceSpec) => readonly RelaySpec[],
): Desired {
  const taken = new Set(
    desired.services.flatMap((spec) => spec.relays.map((relay) => placementKey({ relay, spec }))),
  );
  return {
    ...desired,
    relays: [...desired.relays, ...relays],
    services: desired.services.map((spec) => {
      if (!spec.onPool) return spec;
      // Another service that names this relay directly may use the name there.
      const free = relaysOf(spec).filter((relay) => !taken.has(placementKey({ relay, spec })));
      return { ...spec, relays: [...spec.relays, ...free] };
    }),
  };
}
