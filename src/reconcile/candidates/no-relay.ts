import { ERRORS } from '../../lib/error-codes.js';
import { PortalError } from '../../lib/errors.js';
import type { Sources } from './sources.js';

export interface PoolState {
  /** The list of relays that the pool uses; undefined without one. */
  readonly registry: ReturnType<Sources['registry']>;
  /** Whether relays were chosen for the first time, possibly none. */
  readonly isSettled: boolean;
  /** Whether the choice has relays. */
  readonly hasChosen: boolean;
  /** Number of relays of the registry that are part of a chain, and therefore not candidates. */
  readonly inChains: number;
}

/** Says why a service on the pool has no relay. */
export function noRelayError(state: PoolState): PortalError {
  const { error: cause, relays } = state.registry ?? {};
  if (cause && relays === 0)
    return new PortalError('no_relay', cause.message, {
      cause,
      hint: cause.hint ?? ERRORS[cause.code].remedy,
    });
  return new PortalError('no_relay', reasonFor(state));
}

function reasonFor({ registry, isSettled, hasChosen, inChains }: PoolState): string {
  const isUnread = registry && registry.fetchedAt === undefined;
  if (!isSettled) return isUnread ? `${registry.source} has not responded yet` : 'no relay has responded yet';
  if (hasChosen) return 'another service uses this name on every relay';
  if (!registry) return 'no relay announces another relay';
  if (inChains === 0) return `${registry.source} lists no relay`;
  return `${registry.source} lists no free relay: ${describeChained(inChains)} here, and the pool does not use those`;
}

const describeChained = (count: number): string =>
  count === 1 ? '1 of its relays is part of a chain' : `${count} of its relays are part of a chain`;
